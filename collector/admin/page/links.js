/** Elements that belong together light up together: hover one or give it the focus. */

export class Links {
  #elements = new Map();
  #lit = new Set();

  /**
   * @param {HTMLElement} element
   * @param {string[]} keys it lights up with each other element of one of these
   * @param {string[]} [own] those it lights up itself; all of them by default
   */
  add(element, keys, own = keys) {
    for (const key of keys) {
      if (!this.#elements.has(key)) {
        this.#elements.set(key, new Set());
      }
      this.#elements.get(key).add(element);
    }
    element.addEventListener("pointerenter", () => this.light(own));
    element.addEventListener("pointerleave", () => this.light([]));
    element.addEventListener("focusin", () => this.light(own));
    element.addEventListener("focusout", () => this.light([]));
  }

  /** Light up what has one of these keys, and nothing else. */
  light(keys) {
    for (const element of this.#lit) {
      element.classList.remove("linked");
    }
    this.#lit = new Set(keys.flatMap((key) => [...(this.#elements.get(key) ?? [])]));
    for (const element of this.#lit) {
      element.classList.add("linked");
    }
  }

  /** Bring the first element with one of these keys that fits a selector into view. */
  reveal(keys, selector) {
    const found = keys.flatMap((key) => [...(this.#elements.get(key) ?? [])]);
    found.find((element) => element.matches(selector))?.scrollIntoView({ block: "nearest" });
  }
}
