/** What became of a message: the message beside its event, and where each field comes from. */

import { el, setShown, setText } from "./dom.js";
import { number } from "./format.js";
import { Links } from "./links.js";
import { locate, pieces } from "./locate.js";
import { pour, visible } from "./message.js";
import { tree } from "./tree.js";

const WHOLE = "(whole input)"; // as the daemon names it
const MAX_MARKED = 32 * 1024; // characters of a message in which fields are marked
const MAX_VALUE = 160; // characters of a value in a table
const MAX_ROWS = 200; // of a table, until more are asked for
const MAX_NAMES = 50; // of fields in a list

/**
 * @typedef {object} Field
 * @property {string} target dotted
 * @property {any} value
 * @property {{name: string, value: any}[]} sources fields of the message, or of the event if inferred
 * @property {string} rule
 * @property {string[]} conditions any of them is enough
 */

/**
 * Make the message, which stays in view, and beside it all that became of it.
 *
 * @param {any} answer of `/api/parse`
 */
export function* explained(answer) {
  const links = new Links();
  const origins = originsOf(answer);
  const hasFields = answer.fields.length > 0;
  yield el(
    "div.beside",
    {},
    card("Message", rawBox(answer, origins, links), hasFields && legend(), repairs(answer)),
  );
  yield el(
    "div.stack",
    {},
    card("Event", eventTree(answer.event, origins, links)),
    hasFields && card("Where each field comes from", fieldTable(answer.fields, origins, links)),
    answer.unmapped.length + answer.empty.length > 0 &&
      card(
        "Not mapped",
        answer.unmapped.length > 0 && unmappedTable(answer.unmapped, links),
        answer.empty.length > 0 && el("p.muted", {}, "Without a value: ", nameList(answer.empty)),
      ),
  );
}

function eventTree(event, origins, links) {
  return tree(event, (path, element) => {
    if (origins.has(path)) {
      links.add(element, keysOf(path, origins));
    }
  });
}

const card = (title, ...children) => el("section.card", {}, el("h3", {}, title), ...children);

/**
 * Say of each field of the event which fields of the message it comes from: what is inferred comes
 * from where that comes from which it is inferred from.
 *
 * @param {{fields: Field[], text: string}} answer
 * @returns {Map<string, Set<string>>} by target
 */
function originsOf({ fields, text }) {
  const made = new Map(fields.map((field) => [field.target, field]));
  const origins = new Map();
  const follow = (target) => {
    if (!origins.has(target)) {
      const found = new Set();
      origins.set(target, found); // now, since fields may be made of each other
      for (const { name, value } of made.get(target).sources) {
        const isInferred = made.has(name) && made.get(target).rule.startsWith("inferred");
        const names = isInferred ? follow(name) : [value === text ? WHOLE : name];
        names.forEach((inner) => found.add(inner));
      }
    }
    return origins.get(target);
  };
  made.forEach((_field, target) => follow(target));
  return origins;
}

/** Return the keys a field of the event is linked by: itself, and where it comes from. */
const keysOf = (target, origins) => [`event ${target}`, ...[...origins.get(target)].map(sourceKey)];
const sourceKey = (name) => `source ${name}`;

/** Make the message with its fields marked; what is in none of them stays as it is. */
function rawBox({ text, unmapped }, origins, links) {
  const box = el("pre.message.marked", { tabindex: 0, role: "region", "aria-label": "message text" });
  const used = new Set([...origins.values()].flatMap((names) => [...names]));
  const unused = new Set(unmapped.map(({ field }) => field));
  const head = text.slice(0, MAX_MARKED);
  const places = locate(head).filter(({ name }) => used.has(name) || unused.has(name));
  for (const { text: piece, names } of pieces(head, places)) {
    box.append(names.length ? mark(piece, names, used, links) : visible(piece));
  }
  links.add(box, [sourceKey(WHOLE)], []);
  if (text.length > MAX_MARKED) {
    const rest = text.length - MAX_MARKED;
    const button = el("button", { type: "button" }, `Show ${number(rest)} characters more, without marks`);
    button.addEventListener("click", () => {
      button.remove();
      pour(text.slice(MAX_MARKED), box);
    });
    box.append(button);
  }
  return box;
}

function mark(piece, names, used, links) {
  const name = names.at(-1);
  const element = el("mark", { class: used.has(name) ? "used" : "unused", title: name }, visible(piece));
  const own = [sourceKey(name)];
  links.add(element, names.map(sourceKey), own);
  element.addEventListener("click", () => links.reveal(own, "tr"));
  return element;
}

function legend() {
  return el(
    "p.muted.legend-line",
    {},
    el("mark.used", {}, "in the event"),
    " ",
    el("mark.unused", {}, "not mapped"),
    " Point at a field, here or in the event, to see what belongs together.",
  );
}

const repairs = ({ repairs: tags }) =>
  tags.length ? el("p", {}, "Repaired: ", ...tags.map((tag) => el("code.chip", {}, tag))) : null;

function fieldTable(fields, origins, links) {
  return table("Fields of the event", ["Field", "Value", "Comes from", "Rule"], fields, (field) => {
    const keys = keysOf(field.target, origins);
    const reveal = () => links.reveal(keys, "mark");
    const row = [
      el("button.link", { type: "button", onclick: reveal }, visible(field.target)),
      shortened(field.value),
      nameList(field.sources.map(({ name }) => name)),
      ruleOf(field),
    ];
    return { row, link: (element) => links.add(element, keys) };
  });
}

function unmappedTable(unmapped, links) {
  const caption = "Fields of the message that are in no field of the event";
  return table(caption, ["Source field", "Value", "Why"], unmapped, ({ field, value, reason }) => ({
    row: [el("code", {}, visible(field)), shortened(value), reason ?? ""],
    link: (element) => links.add(element, [sourceKey(field)]),
  }));
}

/**
 * Make a table that grows when more is asked for: who wrote the message decides how long it is.
 *
 * @template T
 * @param {string} caption
 * @param {string[]} heads the first is that of the column that names the rows
 * @param {T[]} items
 * @param {(item: T) => {row: (Node | string)[], link: (element: HTMLElement) => void}} describe
 */
function table(caption, heads, items, describe) {
  const body = el("tbody", { role: "rowgroup" });
  const more = el("button.quiet.more", { type: "button", onclick: grow });
  const waiting = [...items];

  function grow() {
    for (const { row, link } of waiting.splice(0, MAX_ROWS).map(describe)) {
      const element = el("tr", { role: "row" }, ...row.map((content, i) => cell(heads[i], content, i === 0)));
      link(element);
      body.append(element);
    }
    setShown(more, waiting.length > 0);
    setText(more, `Show more, ${number(waiting.length)} are left`);
  }

  grow();
  const head = heads.map((title) => el("th", { scope: "col", role: "columnheader" }, title));
  return el(
    "div.table.fixed",
    {},
    el(
      "table",
      { role: "table" },
      el("caption.hidden", {}, caption),
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...head)),
      body,
    ),
    more,
  );
}

const cell = (title, content, isHeader) =>
  isHeader
    ? el("th", { scope: "row", role: "rowheader", "data-title": title }, content)
    : el("td", { role: "cell", "data-title": title }, content);

function shortened(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const rest = text.length > MAX_VALUE && el("span.muted", {}, ` … ${number(text.length - MAX_VALUE)} more`);
  return el("code.value", {}, visible(text.slice(0, MAX_VALUE)), rest);
}

/** Make a list of names of fields, as far as it goes. */
function nameList(all) {
  if (!all.length) {
    return el("span.muted", {}, "—");
  }
  const shown = all.slice(0, MAX_NAMES).flatMap((name, i) => [i ? ", " : "", el("code", {}, visible(name))]);
  return el("span", {}, ...shown, all.length > MAX_NAMES && `, ${number(all.length - MAX_NAMES)} more`);
}

const ruleOf = ({ rule, conditions }) => [rule, ...(conditions.length ? [conditions.join(" or ")] : [])].join(" if ");
