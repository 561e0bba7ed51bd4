/** Puts beside a picture what it shows as a table, for those who ask for that. */

import { el, setText } from "./dom.js";

/**
 * Make a picture that can be read as a table.
 *
 * @param {Node} picture
 * @param {() => Node} makeTable is called for a table of what the picture shows now
 * @returns {{element: HTMLElement, refresh: () => void}} `refresh` is to follow each change
 */
export function withTable(picture, makeTable) {
  const place = el("div.as-table", { hidden: true });
  const button = el("button.quiet.more", { type: "button", "aria-expanded": "false", onclick: toggle });
  const element = el("div.figure", {}, picture, button, place);

  function toggle() {
    place.hidden = !place.hidden;
    refresh();
  }

  function refresh() {
    button.setAttribute("aria-expanded", String(!place.hidden));
    setText(button, place.hidden ? "Show as table" : "Hide the table");
    if (!place.hidden) {
      place.replaceChildren(makeTable());
    }
  }

  refresh();
  return { element, refresh };
}

/**
 * Make a table that is thrown away when what it shows changes.
 *
 * @param {string} caption
 * @param {string[]} heads the first is that of the column that names the rows
 * @param {string[][]} rows
 */
export function plainTable(caption, heads, rows) {
  const line = (cells) =>
    el(
      "tr",
      {},
      ...cells.map((cell, i) => (i ? el("td.number", {}, cell) : el("th", { scope: "row" }, cell))),
    );
  return el(
    "div.scroll",
    { tabindex: 0, role: "region", "aria-label": caption },
    el(
      "table",
      {},
      el("caption", {}, caption),
      el(
        "thead",
        {},
        el("tr", {}, ...heads.map((head, i) => el("th", { scope: "col", class: i ? "number" : null }, head))),
      ),
      el("tbody", {}, ...rows.map(line)),
    ),
  );
}
