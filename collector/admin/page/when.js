/** A time as people want it: how long ago, and exactly for who asks. */

import { el } from "./dom.js";
import { absolute, ago } from "./format.js";

/**
 * Return what `time` shows, as JSON can hold it.
 *
 * @param {string} iso
 * @param {number} now milliseconds since 1970
 * @param {(iso: string, now: number) => string} [say] how it is told
 */
export const when = (iso, now, say = ago) => ({
  text: say(iso, now),
  attributes: { datetime: iso, title: absolute(iso) },
});

/** Make the element of what `when` returns. */
export const time = ({ text, attributes }) => el("time", attributes, text);
