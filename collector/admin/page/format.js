/** Numbers, sizes and times as people read them. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const STEPS = [
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];
const ABSOLUTE = new Intl.DateTimeFormat("en-GB", {
  dateStyle: "medium",
  timeStyle: "long",
});
const TIME = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

/** @param {number} value */
export const number = (value) => value.toLocaleString("en", { maximumFractionDigits: 0 });

/** Events per second: few with a decimal, since 0.2 is not nothing. */
export function rate(value) {
  const digits = value > 0 && value < 10 ? 1 : 0;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A share of 1 in percent; what is above zero never reads as zero, what is below 100 % never as that. */
export function percent(share) {
  if (share > 0 && share < 0.001) {
    return "< 0.1 %";
  }
  if (share < 1 && share > 0.999) {
    return "> 99.9 %";
  }
  return `${(share * 100).toLocaleString("en", { maximumFractionDigits: 1 })} %`;
}

/** @param {number} value octets */
export function octets(value) {
  const power = Math.min(Math.floor(Math.log2(Math.max(value, 1)) / 10), UNITS.length - 1);
  const digits = power && value / 1024 ** power < 10 ? 1 : 0;
  return `${(value / 1024 ** power).toFixed(digits)} ${UNITS[power]}`;
}

/** A length of time in its two greatest units: `3 d 4 h`. */
export function duration(seconds) {
  if (seconds < 10) {
    return `${seconds.toLocaleString("en", { maximumFractionDigits: seconds < 1 ? 1 : 0 })} s`;
  }
  const whole = Math.floor(seconds);
  const first = STEPS.findIndex(([size]) => whole >= size);
  const [size, unit] = STEPS[first];
  const rest = STEPS[first + 1];
  const more = rest ? Math.floor((whole % size) / rest[0]) : 0;
  return `${Math.floor(whole / size)} ${unit}${more ? ` ${more} ${rest[1]}` : ""}`;
}

/**
 * How long ago something was.
 *
 * @param {string} iso when it was
 * @param {number} now milliseconds since 1970, by the clock that wrote `iso`
 */
export function ago(iso, now) {
  const seconds = (now - Date.parse(iso)) / 1000;
  return seconds < 5 ? "just now" : `${calm(seconds)} ago`;
}

/** For how long something has lasted; takes what `ago` does. */
export function lasting(iso, now) {
  const seconds = (now - Date.parse(iso)) / 1000;
  return seconds < 5 ? "for a moment" : `for ${calm(seconds)}`;
}

/** Minutes alone beyond the first: a table in which every second changes every line has no calm. */
const calm = (seconds) => duration(seconds < 60 ? Math.floor(seconds / 5) * 5 : Math.floor(seconds / 60) * 60);

/** @param {string} iso */
export const absolute = (iso) => ABSOLUTE.format(new Date(iso));

/** The time of day, to the second. */
export const timeOfDay = (iso) => TIME.format(new Date(iso));
