/**
 * The ledger as a river: what was received comes in as one stream, and each account is an arm as
 * broad as its share. It flows to the right; where there is little room, downwards.
 */

import { el, onResize, setText, svg } from "./dom.js";
import { plainTable, withTable } from "./figure.js";
import { number, percent } from "./format.js";
import { accounts, imbalance, whole } from "./ledger.js";

const NARROW = 1060; // pixels; below, the river flows downwards
const MIN_ARM = 2; // pixels of an arm with one copy: nothing that happened is invisible
const MAX_REASONS = 6; // of an arm in the picture; the table has all
const LINE = 17; // pixels from one line of text to the next
const HEAD = 42; // pixels of an arm's title and count

const WIDTHS = { count: 11, text: 6.7 }; // pixels of a character, at most and on the whole

const WIDE = { stream: 52, left: 142, right: 172, top: 14, foot: 112 };
const TALL = { stream: 40, top: 84, label: 84 };

export class Flow {
  #drawn = "";
  #ledger = null;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.place = el("div.flow");
    this.balance = el("p.balance", { role: "status" });
    this.figure = withTable(el("div", {}, this.place, this.balance), () => table(this.#ledger));
    root.append(this.figure.element);
    onResize(this.place, () => this.#draw());
  }

  /** @param {any} status the body of `/api/status` */
  update({ ledger, cluster }) {
    this.#ledger = { ...ledger, role: cluster?.role };
    this.#draw();
  }

  #draw() {
    const width = Math.floor(this.place.clientWidth);
    const signature = JSON.stringify([width, this.#ledger]);
    if (!width || !this.#ledger || signature === this.#drawn) {
      return;
    }
    this.#drawn = signature;
    const arms = armsOf(this.#ledger, width < NARROW ? TALL.stream : WIDE.stream);
    const picture = width < NARROW ? tall(this.#ledger, arms, width) : wide(this.#ledger, arms, width);
    this.place.replaceChildren(picture);
    const off = imbalance(this.#ledger);
    this.balance.className = `balance ${off ? "bad" : "ok"}`;
    setText(this.balance, balanceText(off));
    this.figure.refresh();
  }
}

/** It is read out when it changes, so it holds no figures that always do. */
function balanceText(off) {
  return off
    ? `Does not balance: ${number(Math.abs(off))} copies ${off > 0 ? "are not accounted for" : "too many"}.`
    : "Balances: every copy is accounted for.";
}

/** Return the accounts with the breadth of each arm, and how far it lies from the stream's far edge. */
function armsOf(ledger, stream) {
  const all = whole(ledger);
  let offset = 0;
  return accounts(ledger)
    .reverse() // what is delivered keeps to the far edge, the first arm to leave lies at the near one
    .map((account) => {
      const share = all ? account.count / all : 0;
      const breadth = account.count ? Math.max(MIN_ARM, share * stream) : 0;
      const arm = { ...account, share, breadth, centre: offset + breadth / 2 };
      offset += breadth;
      return arm;
    })
    .reverse();
}

function wide(ledger, arms, width) {
  const { left, right, top, foot } = WIDE;
  const column = (width - left - right) / (arms.length - 1);
  const depth = Math.max(...arms.slice(0, -1).map((arm) => labelLines(arm).length));
  const height = foot + HEAD + depth * LINE + 8;
  const delivered = arms.at(-1);
  const parts = arms.slice(0, -1).map((arm, index) => {
    const x = left + (index + 0.4) * column;
    const y = top + arm.centre;
    const bend = bendOf(arm);
    const path = `M${left} ${y}H${x - bend}Q${x} ${y} ${x} ${y + bend}V${foot}`;
    return svg("g", {}, armPath(path, arm), label(arm, x - 12, foot + 22, column - 8));
  });
  const y = top + delivered.centre;
  const end = width - right;
  return drawing(width, height, ledger, [
    source(ledger, 0, top + 16),
    ...parts.reverse(), // those that leave last lie below those they cross
    armPath(`M${left} ${y}H${end}`, delivered),
    arrow(end, y, "right", delivered),
    label(delivered, end + 20, top + 10, right - 20),
  ]);
}

function tall(ledger, arms, width) {
  const { top, label: x } = TALL;
  let y = top + 26;
  const delivered = arms.at(-1);
  const parts = arms.slice(0, -1).map((arm) => {
    const from = 4 + arm.centre;
    const bend = bendOf(arm);
    const path = `M${from} ${top}V${y - bend}Q${from} ${y} ${from + bend} ${y}H${x - 14}`;
    const group = svg("g", {}, armPath(path, arm), label(arm, x, y - 2, width - x));
    y += HEAD + labelLines(arm).length * LINE + 16;
    return group;
  });
  const from = 4 + delivered.centre;
  return drawing(width, y + 2 * LINE + 24, ledger, [
    source(ledger, 0, 16),
    ...parts.reverse(),
    armPath(`M${from} ${top}V${y}`, delivered),
    arrow(from, y, "down", delivered),
    label(delivered, x, y + 4, width - x),
  ]);
}

/** Return the radius in which an arm turns: a broad one needs a wide one. */
const bendOf = ({ breadth }) => Math.max(18, breadth / 2 + 5);

function drawing(width, height, ledger, parts) {
  const told = accounts(ledger).map(({ title, count }) => `${title} ${number(count)}`);
  const taken = ledger.taken_over ? `, taken over ${number(ledger.taken_over)}` : "";
  const text = `Received ${number(ledger.received)}, further copies ${number(ledger.copies)}${taken}; ${told.join(", ")}`;
  return svg("svg", { width, height, role: "img", "aria-label": text }, ...parts);
}

function armPath(path, arm) {
  const isEmpty = !arm.count;
  return svg(`path.arm.${isEmpty ? "empty" : arm.tone}`, { d: path, "stroke-width": isEmpty ? 1 : arm.breadth });
}

/** Make the head of the stream's end, in proportion to it. */
function arrow(x, y, direction, arm) {
  const half = Math.max(7, arm.breadth / 2 + 4);
  const depth = Math.min(14, half);
  const points =
    direction === "right"
      ? `${x},${y - half} ${x + depth},${y} ${x},${y + half}`
      : `${x - half},${y} ${x},${y + depth} ${x + half},${y}`;
  return svg(`polygon.head.${arm.count ? arm.tone : "empty"}`, { points });
}

function source(ledger, x, y) {
  return svg(
    "text",
    { x, y },
    svg("tspan.title", { x }, "Received"),
    svg("tspan.count", { x, dy: 22 }, number(ledger.received)),
    ledger.copies ? svg("tspan.note", { x, dy: LINE }, `+ ${number(ledger.copies)}`) : null,
    ledger.copies ? svg("tspan.note", { x, dy: LINE }, "for further sinks") : null,
    ledger.taken_over ? svg("tspan.note", { x, dy: LINE }, `+ ${number(ledger.taken_over)}`) : null,
    ledger.taken_over ? svg("tspan.note", { x, dy: LINE }, "out of the stream") : null,
  );
}

/** Make the text of an arm; `room` is how many pixels it may be wide. */
function label(arm, x, y, room) {
  const lines = labelLines(arm).map(({ text, kind }) => svg(`tspan.${kind}`, { x, dy: LINE }, fitted(text, room)));
  const count = number(arm.count);
  const share = percent(arm.share);
  const hasRoom = count.length * WIDTHS.count + (share.length + 1) * WIDTHS.text < room;
  const isEmpty = arm.count ? "" : ".nothing";
  return svg(
    `text${isEmpty}`,
    { x, y },
    svg("tspan.title", { x }, arm.title),
    svg("tspan.count", { x, dy: 20 }, count),
    arm.count && hasRoom ? svg("tspan.note", { dx: 7 }, share) : null,
    ...lines,
  );
}

/** Cut a text that has no room; the table has it whole. */
function fitted(text, room) {
  const length = Math.floor(room / WIDTHS.text);
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

/** Return what stands below the count of an arm; the picture's height goes by it. */
function labelLines({ reasons, note }) {
  const rest = reasons.slice(MAX_REASONS);
  const lines = reasons
    .slice(0, MAX_REASONS)
    .map(([reason, count]) => ({ kind: "reason", text: `${number(count)} ${reason}` }));
  if (rest.length) {
    const count = rest.reduce((sum, [, inner]) => sum + inner, 0);
    lines.push({ kind: "reason", text: `${number(count)} of ${rest.length} more reasons` });
  }
  return [{ kind: "note", text: note }, ...lines];
}

function table(ledger) {
  const all = whole(ledger);
  const row = (name, count) => [name, number(count), all ? percent(count / all) : "—"];
  const rows = accounts(ledger).flatMap(({ title, count, reasons }) => [
    row(title, count),
    ...reasons.map(([reason, inner]) => row(`${title}: ${reason}`, inner)),
  ]);
  const taken = ledger.role ? [row("Taken over", ledger.taken_over)] : [];
  rows.unshift(row("Received", ledger.received), row("Further copies", ledger.copies), ...taken);
  return plainTable("The ledger, in copies of messages", ["account", "copies", "share"], rows);
}
