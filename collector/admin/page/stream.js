/** Server-sent events that come back by themselves when the daemon does. */

import { probe } from "./api.js";

const FIRST_DELAY_MS = 1000;
const MAX_DELAY_MS = 15_000;

/**
 * @typedef {object} StreamState
 * @property {"closed" | "connecting" | "live" | "away"} name
 * @property {number} [retryMs] away: milliseconds until the next attempt
 */

/**
 * One stream. When it ends, as the daemon has each do after a while, another is opened at once;
 * attempts that fail are repeated, each after twice the time of the one before.
 *
 * The browser's own repetition is not used: it gives up for good at the first answer that is no
 * event stream, such as that of a proxy while the daemon starts.
 */
export class Stream {
  #url = "";
  #source = null;
  #timer = 0;
  #watchdog = 0;
  #delay = 0;

  /**
   * @param {Object<string, (data: any) => void>} handlers what to do with each kind of event
   * @param {(state: StreamState) => void} onState is told of each change
   * @param {number} [maxSilenceMs] a stream silent for longer is taken for dead
   */
  constructor(handlers, onState, maxSilenceMs = 0) {
    this.handlers = handlers;
    this.onState = onState;
    this.maxSilenceMs = maxSilenceMs;
  }

  /** Open a stream in the place of the one there is. */
  open(url) {
    this.#stop();
    this.#url = url;
    this.#delay = 0;
    this.#connect();
  }

  /** Close it, until it is opened again. */
  close() {
    this.#stop();
    this.onState({ name: "closed" });
  }

  #connect() {
    this.onState({ name: "connecting" });
    const source = new EventSource(this.#url);
    this.#source = source;
    source.addEventListener("open", () => {
      this.#delay = Math.min(this.#delay, FIRST_DELAY_MS);
      this.onState({ name: "live" });
      this.#listen();
    });
    source.addEventListener("error", () => this.#lost());
    for (const [kind, handle] of Object.entries(this.handlers)) {
      source.addEventListener(kind, (event) => {
        this.#delay = 0;
        this.#listen();
        handle(JSON.parse(event.data));
      });
    }
    this.#listen();
  }

  /** Wait for the next sign of life, where there is a bound for that. */
  #listen() {
    clearTimeout(this.#watchdog);
    if (this.maxSilenceMs) {
      this.#watchdog = setTimeout(() => this.#lost(), this.maxSilenceMs);
    }
  }

  #lost() {
    this.#stop();
    const retryMs = this.#delay;
    this.#delay = retryMs ? Math.min(retryMs * 2, MAX_DELAY_MS) : FIRST_DELAY_MS;
    this.onState(retryMs ? { name: "away", retryMs } : { name: "connecting" });
    this.#timer = setTimeout(() => this.#retry(), retryMs);
  }

  async #retry() {
    const timer = this.#timer;
    try {
      await probe();
    } catch {
      // It is still away, as the attempt will find too.
    }
    if (timer === this.#timer) {
      this.#connect();
    }
  }

  #stop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#watchdog);
    this.#timer = 0;
    this.#source?.close();
    this.#source = null;
  }
}
