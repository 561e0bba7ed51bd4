/** Shows text that a stranger wrote: as text, with what hides in it made visible, and not too much. */

import { el } from "./dom.js";
import { number, octets } from "./format.js";

const SHOWN = 8 * 1024; // characters that are shown until all are asked for
const BLOCK = 16 * 1024; // characters of a block: one that is not in view is not laid out
const MAX_MARKED = 500; // runs of control characters that stand out; further ones are replaced alone

// C0 and C1 controls, and what changes how other characters are seen or cannot be seen itself:
// joiners, marks and overrides of direction, separators, the byte order mark, tags, lone surrogates.
const HIDDEN =
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]+|\p{Surrogate}+/gu;

const CONTROLS = (
  "NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI " +
  "DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US"
).split(" ");
const ARROWS = { "\n": "↵\n", "\t": "→\t" };

/**
 * Return text as nodes.
 *
 * What hides is shown by its name, as ‹ESC› or ‹U+202E›; the ends of lines and tabs by an arrow, and
 * are kept.
 *
 * @param {string} text
 * @returns {DocumentFragment}
 */
export function visible(text) {
  const fragment = document.createDocumentFragment();
  let end = 0;
  let count = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (count === MAX_MARKED) {
      break;
    }
    count += 1;
    fragment.append(text.slice(end, match.index), marked(match[0]));
    end = match.index + match[0].length;
  }
  const rest = text.slice(end);
  fragment.append(count === MAX_MARKED ? rest.replace(HIDDEN, spelled) : rest);
  return fragment;
}

const marked = (run) =>
  /^[\n\t]+$/.test(run)
    ? el("span.muted", {}, spelled(run))
    : el("span.control", { title: namesOf(run) }, spelled(run));

/** Return text in one line, as far as it goes. */
export function preview(text, length) {
  const start = text.slice(0, length).replace(HIDDEN, (run) => spelled(run).replaceAll(/[\n\t]/g, ""));
  return text.length > length ? `${start}…` : start;
}

const spelled = (run) => Array.from(run, (character) => ARROWS[character] ?? `‹${nameOf(character)}›`).join("");

/** Name a character: a control by its abbreviation (RFC 20), all others by their number. */
function nameOf(character) {
  const code = character.codePointAt(0);
  return CONTROLS[code] ?? (code === 0x7f ? "DEL" : `U+${code.toString(16).toUpperCase().padStart(4, "0")}`);
}

const namesOf = (run) => {
  const names = Array.from(run.slice(0, 16), nameOf).join(" ");
  return run.length > 16 ? `${names} …` : names;
};

/**
 * Make a box with a text, of which the beginning is shown until all is asked for.
 *
 * @param {string} text
 * @param {boolean} [isCut] the daemon has sent its beginning only
 */
export function messageBox(text, isCut = false) {
  const box = el("pre.message", { tabindex: 0, role: "region", "aria-label": "message text" });
  const shown = boundedText(text, box);
  const cut = isCut && el("p.muted", {}, "The daemon sends only the beginning of so long a message.");
  return el("div", {}, box, shown, cut);
}

/** Fill a box with the beginning of a text; return a button that shows all, null if nothing is left. */
function boundedText(text, box) {
  box.append(visible(text.slice(0, SHOWN)));
  if (text.length <= SHOWN) {
    return null;
  }
  const size = octets(new Blob([text]).size);
  const button = el("button", { type: "button" }, `Show all of ${size}, ${number(text.length - SHOWN)} characters more`);
  button.addEventListener("click", () => {
    button.remove();
    box.replaceChildren();
    pour(text, box);
    box.focus();
  });
  return button;
}

/**
 * Add a long text to a box: in blocks, each on lines of its own, and one a frame, so that the page
 * goes on. What hides is named, and does not stand out.
 */
export function pour(text, box) {
  const [block, rest] = [text.slice(0, BLOCK), text.slice(BLOCK)];
  box.append(el("span.block", {}, block.replace(HIDDEN, spelled)));
  if (rest) {
    requestAnimationFrame(() => pour(rest, box));
  }
}
