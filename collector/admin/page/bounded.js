/** Keeps the newest items within two bounds: senders decide how many there are, and how long. */

/** @template T */
export class Newest {
  #items = [];
  #size = 0;

  /**
   * @param {number} maxItems
   * @param {number} maxSize of all items together
   * @param {(item: T) => number} sizeOf
   */
  constructor(maxItems, maxSize, sizeOf) {
    this.maxItems = maxItems;
    this.maxSize = maxSize;
    this.sizeOf = sizeOf;
  }

  get length() {
    return this.#items.length;
  }

  /** Keep an item; return those that had to go. The newest stays, whatever its size. */
  add(item) {
    this.#items.push(item);
    this.#size += this.sizeOf(item);
    const gone = [];
    while (this.#items.length > 1 && (this.#items.length > this.maxItems || this.#size > this.maxSize)) {
      const oldest = this.#items.shift();
      this.#size -= this.sizeOf(oldest);
      gone.push(oldest);
    }
    return gone;
  }

  /** Return all, the oldest first, and keep none. */
  take() {
    const items = this.#items;
    this.#items = [];
    this.#size = 0;
    return items;
  }
}
