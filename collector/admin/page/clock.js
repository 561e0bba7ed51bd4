/** The daemon's clock, which may go differently from this browser's. */

const TOLERATED_MS = 10_000; // a point of the history may be one step old

let skew = 0;

/** Learn what time it is for the daemon; `seconds` since 1970. */
export function learn(seconds) {
  const found = Date.now() - seconds * 1000;
  skew = Math.abs(found) > TOLERATED_MS ? found : 0;
}

/** Return milliseconds since 1970 as the daemon counts them. */
export const daemonNow = () => Date.now() - skew;
