/** Events per second of the series of one kind, over the minutes that the daemon keeps. */

import { colour } from "./colour.js";
import { el, onResize, setText, svg } from "./dom.js";
import { plainTable, withTable } from "./figure.js";
import { rate } from "./format.js";

const HEIGHT = 190;
const COLOURS = 8;
const DASHES = [[], [6, 4], [2, 3]]; // beyond eight series the colours come again, dashed
const TABLE_MINUTES = 15;

const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "short" });
const clock = (seconds) => CLOCK.format(seconds * 1000);
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export class Chart {
  #plot = null;
  #names = "";
  #series = [];
  #values = [];

  /**
   * @param {HTMLElement} root
   * @param {import("./history.js").History} history
   * @param {string} kind of the series
   * @param {string} caption of the table
   */
  constructor(root, history, kind, caption) {
    this.history = history;
    this.kind = kind;
    this.caption = caption;
    this.place = el("div.plot", { role: "img" });
    this.legend = el("ul.legend");
    this.figure = withTable(el("div", {}, this.place, this.legend), () => this.#table());
    root.append(this.figure.element);
    onResize(this.place, () => this.#fit());
    window.addEventListener("themechange", () => this.#plot?.redraw(false));
  }

  /** Show the history as it is now. */
  update() {
    this.#series = this.history.of(this.kind);
    const names = JSON.stringify(this.#series.map(({ name }) => name));
    if (names !== this.#names || !this.#plot) {
      this.#names = names;
      this.#build();
    } else {
      this.#plot.setData(this.#data());
    }
    this.#tell();
    this.figure.refresh();
  }

  #data() {
    return [this.history.times(), ...this.#series.map(({ values }) => values)];
  }

  #build() {
    this.#plot?.destroy();
    this.#plot = new window.uPlot(this.#options(), this.#data(), this.place);
    this.#values = this.#series.map(() => el("span.value"));
    const items = this.#series.map(({ name }, index) => legendItem(name, index, this.#values[index]));
    this.legend.replaceChildren(...items);
  }

  #options() {
    const axis = {
      stroke: () => colour("--muted"),
      font: "12px system-ui, sans-serif",
      grid: { stroke: () => colour("--line"), width: 1 },
      ticks: { show: false },
    };
    return {
      width: this.place.clientWidth || 400,
      height: HEIGHT,
      legend: { show: false },
      padding: [10, 8, 0, 0],
      cursor: { drag: { x: false, y: false }, sync: { key: "overview" }, points: { size: 7 } },
      scales: { y: { range: (_plot, _min, max) => [0, Math.max(1, (max ?? 0) * 1.1)] } },
      axes: [
        { ...axis, values: (_plot, splits) => splits.map(clock), space: 70, size: 30 },
        { ...axis, values: (_plot, splits) => splits.map((value) => compact.format(value)), size: 48 },
      ],
      series: [{}, ...this.#series.map((_series, index) => lineOf(index))],
      hooks: { setCursor: [() => this.#tell()] },
    };
  }

  #fit() {
    const width = this.place.clientWidth;
    if (this.#plot && width && width !== this.#plot.width) {
      this.#plot.setSize({ width, height: HEIGHT });
    }
  }

  /** Say in the legend what the values are: where the pointer is, else the newest. */
  #tell() {
    const index = this.#plot?.cursor.idx ?? this.history.times().length - 1;
    this.#series.forEach(({ values }, i) => setText(this.#values[i], shown(values[index])));
    const newest = this.#series.map(({ name, values }) => `${name} ${shown(values.at(-1))}`);
    this.place.setAttribute("aria-label", `${this.caption}; now: ${newest.join(", ") || "nothing"}`);
  }

  /** Make the table: the mean of each minute, the newest first. */
  #table() {
    const perMinute = Math.max(1, Math.round(60 / this.history.step));
    const times = this.history.times();
    const rows = Array.from({ length: TABLE_MINUTES }, (_, minute) => {
      const end = times.length - minute * perMinute;
      const means = this.#series.map(({ values }) => shown(mean(values.slice(end - perMinute, end))));
      return [clock(times[end - 1]), ...means];
    });
    return plainTable(this.caption, ["minute to", ...this.#series.map(({ name }) => name)], rows);
  }
}

const tone = (index) => `--series-${(index % COLOURS) + 1}`;
const dash = (index) => DASHES[Math.floor(index / COLOURS) % DASHES.length];

function lineOf(index) {
  return {
    stroke: () => colour(tone(index)),
    width: 1.75,
    dash: dash(index),
    points: { show: false },
  };
}

function legendItem(name, index, value) {
  const line = svg("line", { x1: 1, y1: 5, x2: 21, y2: 5, "stroke-dasharray": dash(index).join(" ") });
  const swatch = svg(
    `svg.swatch.series-${(index % COLOURS) + 1}`,
    { width: 22, height: 10, "aria-hidden": "true" },
    line,
  );
  return el("li", {}, swatch, el("span.name", {}, name), value);
}

const shown = (value) => (value === null || value === undefined ? "—" : `${rate(value)}/s`);

function mean(values) {
  const known = values.filter((value) => value !== null && value !== undefined);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
}
