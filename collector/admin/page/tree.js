/** Shows JSON as a tree that can be folded; what is folded is not made before it is opened. */

import { el } from "./dom.js";
import { pour, visible } from "./message.js";

const MAX_ENTRIES = 200; // of an object or list, until more are asked for
const MAX_TEXT = 400; // characters of a text, until all are asked for
const OPEN_DEPTH = 3; // levels that are open at first, ...
const MAX_OPEN = 1000; // ... as long as no more entries than these are

/**
 * Called with the dotted path of each element that shows a value: texts, numbers and the like, and
 * lists, which are values in events.
 *
 * @typedef {(path: string, element: HTMLElement) => void} OnLeaf
 */

/**
 * Make a tree.
 *
 * @param {any} value as JSON can hold it
 * @param {OnLeaf} [onLeaf]
 */
export function tree(value, onLeaf = () => {}) {
  return new Tree(onLeaf).element(value);
}

class Tree {
  #open = 0;
  #onLeaf;

  /** @param {OnLeaf} onLeaf */
  constructor(onLeaf) {
    this.#onLeaf = onLeaf;
  }

  element(value) {
    return el("div.tree", {}, ...this.#inside(value, "", 1));
  }

  /** Make what is in an object or list; `depth` is 1 for what the tree is of. */
  #inside(value, path, depth) {
    const isList = Array.isArray(value);
    return this.#entries(Object.entries(value), (key, inner) =>
      this.#entry(key, inner, isList ? path : joined(path, key), depth, isList),
    );
  }

  /** Make the first of some entries, and a button for the others. */
  #entries(all, make) {
    const shown = all.slice(0, MAX_ENTRIES);
    this.#open += shown.length;
    const elements = shown.map(([key, inner]) => make(key, inner));
    const rest = all.slice(MAX_ENTRIES);
    if (rest.length) {
      const button = el("button", { type: "button" }, `${rest.length} more`);
      button.addEventListener("click", () => button.replaceWith(...this.#entries(rest, make)));
      elements.push(button);
    }
    return elements;
  }

  #entry(key, value, path, depth, isInList) {
    const name = el("span.key", {}, visible(key.slice(0, MAX_TEXT)), key.length > MAX_TEXT && "…");
    const isLeaf = value === null || typeof value !== "object" || !Object.keys(value).length;
    const element = isLeaf
      ? el("div.leaf", {}, name, el("span.punctuation", {}, ": "), scalar(value))
      : this.#folded(name, value, path, depth);
    if (!isInList && (isLeaf || Array.isArray(value))) {
      this.#onLeaf(path, element);
    }
    return element;
  }

  #folded(name, value, path, depth) {
    const count = Object.keys(value).length;
    const size = Array.isArray(value) ? `[${count}]` : `{${count}}`;
    const branch = el("details", {}, el("summary", {}, name, " ", el("span.punctuation", {}, size)));
    const fill = () => branch.append(el("div.inner", {}, ...this.#inside(value, path, depth + 1)));
    if (depth <= OPEN_DEPTH && this.#open < MAX_OPEN) {
      fill();
      branch.open = true;
    } else {
      branch.addEventListener("toggle", fill, { once: true });
    }
    return branch;
  }
}

const joined = (path, key) => (path ? `${path}.${key}` : key);

function scalar(value) {
  if (typeof value !== "string") {
    return el(`span.${value === null ? "null" : typeof value}`, {}, JSON.stringify(value));
  }
  const shown = el("span.string", {}, '"', visible(value.slice(0, MAX_TEXT)));
  if (value.length > MAX_TEXT) {
    const button = el("button", { type: "button" }, `… ${value.length - MAX_TEXT} more characters`);
    button.addEventListener("click", () => {
      const rest = el("span");
      button.replaceWith(rest);
      pour(value.slice(MAX_TEXT), rest);
    });
    shown.append(button);
  }
  shown.append('"');
  return shown;
}
