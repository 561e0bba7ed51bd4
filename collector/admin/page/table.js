/** Tables that change in place: a cell is made anew only when what it shows is another. */

import { el, setShown, setText } from "./dom.js";

/**
 * @template T
 * @typedef {object} Column
 * @property {string} title
 * @property {(item: T) => any} value what the cell shows, as JSON can hold it
 * @property {(value: any) => Node | string} [render] how; by default as text
 * @property {boolean} [isNumber] it is set to the right, in figures of one width
 * @property {boolean} [isHeader] it names the row
 */

/** @template T */
export class DataTable {
  #rows = new Map();

  /**
   * @param {object} options
   * @param {string} options.caption for those who hear the table
   * @param {Column<T>[]} options.columns
   * @param {(item: T) => string} options.key tells the rows apart
   * @param {string} options.empty what is said when there are none
   * @param {number} [options.limit] rows that are shown until all are asked for
   */
  constructor({ caption, columns, key, empty, limit = Infinity }) {
    this.columns = columns;
    this.key = key;
    this.limit = limit;
    this.items = [];
    const heads = columns.map(({ title, isNumber }) =>
      // Said outright, since the narrow layout takes the roles that the elements have by themselves.
      el("th", { scope: "col", role: "columnheader", class: isNumber ? "number" : null }, title),
    );
    this.body = el("tbody", { role: "rowgroup" });
    this.table = el(
      "table",
      { role: "table" },
      el("caption.hidden", {}, caption),
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...heads)),
      this.body,
    );
    this.empty = el("p.empty", {}, empty);
    this.more = el("button.quiet.more", { type: "button", onclick: () => this.#showAll() });
    this.element = el("div.table", {}, this.table, this.empty, this.more);
  }

  /** Show these rows, in this order. */
  show(items) {
    this.items = items;
    const shown = items.slice(0, this.limit);
    const keys = new Set(shown.map(this.key));
    for (const [key, row] of this.#rows) {
      if (!keys.has(key)) {
        row.element.remove();
        this.#rows.delete(key);
      }
    }
    shown.forEach((item, index) => this.#place(this.#row(item), index));
    setShown(this.table, items.length > 0);
    setShown(this.empty, items.length === 0);
    setShown(this.more, items.length > shown.length);
    setText(this.more, `Show all ${items.length}`);
  }

  #showAll() {
    this.limit = Infinity;
    this.show(this.items);
  }

  #row(item) {
    const key = this.key(item);
    const row = this.#rows.get(key) ?? this.#enter(key);
    this.columns.forEach((column, index) => this.#fill(row.cells[index], column, column.value(item)));
    return row;
  }

  #enter(key) {
    const cells = this.columns.map(({ title, isNumber, isHeader }) => ({
      signature: null,
      element: isHeader
        ? el("th", { scope: "row", role: "rowheader", "data-title": title })
        : el("td", { role: "cell", "data-title": title, class: isNumber ? "number" : null }),
    }));
    const row = { cells, element: el("tr", { role: "row" }, ...cells.map((cell) => cell.element)) };
    this.#rows.set(key, row);
    return row;
  }

  #fill(cell, { render = String }, value) {
    const signature = JSON.stringify(value);
    if (signature !== cell.signature) {
      cell.signature = signature;
      cell.element.replaceChildren(render(value));
    }
  }

  #place({ element }, index) {
    const there = this.body.children[index];
    if (there !== element) {
      this.body.insertBefore(element, there ?? null);
    }
  }
}
