/** The few figures that say whether one has to look further. */

import { el, setText } from "./dom.js";
import { number, rate } from "./format.js";
import { lost, total } from "./ledger.js";
import { oldest, waiting } from "./spool.js";

/** What is shown, with the tone it has unless it is 0. */
const FIGURES = [
  { name: "Messages in", unit: "per second", of: ({ history }) => shownRate(history.newest("listener")) },
  { name: "Events out", unit: "per second", of: ({ history }) => shownRate(history.newest("sink")) },
  { name: "Sinks", unit: "up", of: ({ status }) => sinksUp(status), tone: toneOfSinks },
  { name: "Waiting", unit: "for sinks", of: ({ status }) => number(waiting(status)) },
  { name: "Oldest", unit: "waiting", of: ({ status }) => oldest(status) },
  { name: "Not parsed", unit: "", of: ({ status }) => number(notParsed(status.intakes)), tone: () => "warn" },
  { name: "Dead letters", unit: "", of: ({ status }) => number(deadLetters(status)), tone: () => "warn" },
  { name: "Lost", unit: "", of: ({ status }) => number(total(lost(status.ledger))), tone: () => "bad" },
];

export class Glance {
  /** @param {HTMLElement} root a definition list */
  constructor(root) {
    this.values = FIGURES.map(({ name, unit }) => {
      const value = el("dd", {}, "—");
      root.append(el("div", {}, el("dt", {}, name, unit && el("small", {}, ` ${unit}`)), value));
      return value;
    });
  }

  /**
   * @param {any} status the body of `/api/status`
   * @param {import("./history.js").History} history
   */
  update(status, history) {
    FIGURES.forEach(({ of, tone = () => "" }, index) => {
      const text = of({ status, history });
      setText(this.values[index], text);
      this.values[index].className = text === "0" ? "" : tone(status);
    });
  }
}

const shownRate = (value) => (value === null ? "—" : rate(value));

/** A member that posts to no sink does not know how they are. */
const sinksUp = ({ sinks, cluster }) =>
  cluster?.role === "receive" ? "—" : `${sinks.filter(({ up }) => up).length} of ${sinks.length}`;
function toneOfSinks({ sinks }) {
  return sinks.every(({ up }) => up) ? "" : "bad";
}

/** Return how many are kept here, and in the stream if there is one. */
const deadLetters = ({ ledger, spool }) =>
  total(ledger.dead_lettered) + total(spool.stream?.dead_letters.events ?? {});

const notParsed = (intakes) => intakes.reduce((sum, { events }) => sum + events.pipeline_error, 0);
