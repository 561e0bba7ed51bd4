/**
 * A list of which one item is chosen, by pointer or arrow keys: the ARIA listbox. The newest is at the
 * top; what is chosen stays where it is seen while others come.
 */

import { el } from "./dom.js";

/** @template T */
export class TailList {
  #items = new Map();
  #chosen = null;
  #count = 0;

  /**
   * @param {HTMLElement} element the `role=listbox`, which has the focus
   * @param {(item: T) => Node[]} row makes what an item shows
   * @param {(item: T) => void} onChoose
   */
  constructor(element, row, onChoose) {
    this.element = element;
    this.row = row;
    this.onChoose = onChoose;
    element.addEventListener("click", (event) => {
      const option = event.target.closest('[role="option"]');
      if (option) {
        this.#choose(option);
      }
    });
    element.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /**
   * Put an item at the top.
   *
   * @param {T} item
   * @param {number} gone how many of the oldest go for it
   */
  prepend(item, gone) {
    for (let i = 0; i < gone; i += 1) {
      this.#remove(this.element.lastElementChild);
    }
    this.#count += 1;
    const option = el("div", { role: "option", id: `${this.element.id}-${this.#count}`, "aria-selected": "false" }, ...this.row(item));
    this.#items.set(option, item);
    const { scrollTop } = this.element;
    this.element.prepend(option);
    if (scrollTop > 0) {
      this.element.scrollTop = scrollTop + option.offsetHeight;
    }
  }

  /** Remove all. */
  clear() {
    this.element.replaceChildren();
    this.element.removeAttribute("aria-activedescendant");
    this.#items.clear();
    this.#chosen = null;
  }

  #remove(option) {
    this.#items.delete(option);
    option.remove();
    if (option === this.#chosen) {
      this.#chosen = null; // its details stay, for who reads them
      this.element.removeAttribute("aria-activedescendant");
    }
  }

  #choose(option) {
    this.#chosen?.setAttribute("aria-selected", "false");
    this.#chosen = option;
    option.setAttribute("aria-selected", "true");
    this.element.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
    this.onChoose(this.#items.get(option));
  }

  #onKey(event) {
    const chosen = this.#chosen;
    const goal = {
      ArrowDown: chosen ? chosen.nextElementSibling : this.element.firstElementChild,
      ArrowUp: chosen ? chosen.previousElementSibling : this.element.firstElementChild,
      Home: this.element.firstElementChild,
      End: this.element.lastElementChild,
    }[event.key];
    if (goal !== undefined) {
      event.preventDefault();
      if (goal) {
        this.#choose(goal);
      }
    }
  }
}
