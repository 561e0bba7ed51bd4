/** The last minutes of each series, as the daemon keeps them: events per second, by step. */

const MAX_POINTS = 180;

export class History {
  /** Seconds of a step, as they are meant to be. */
  step = 5;
  /** When the newest step ended, in seconds since 1970. */
  ends = 0;
  /** By kind and name: `{kind, name, values}`, all of one length, the newest last. */
  #series = new Map();
  /** How long each step took, in seconds, the newest last. */
  #seconds = [];

  /** Take over what the daemon has kept; `ends` is null as long as that is nothing. */
  replace({ step, ends, seconds, series }) {
    this.step = step;
    this.ends = ends ?? Date.now() / 1000;
    this.#seconds = seconds;
    this.#series = new Map(
      series.map(({ kind, name, values }) => [
        keyOf(kind, name),
        { kind, name, values: [...blank(this.#length - values.length), ...values] },
      ]),
    );
  }

  /** Take over one more step; a series that is not in it was not there. */
  add({ ends, seconds, values }) {
    this.ends = ends;
    const given = new Map(values.map((item) => [keyOf(item.kind, item.name), item]));
    for (const [key, { kind, name }] of given) {
      if (!this.#series.has(key)) {
        this.#series.set(key, { kind, name, values: blank(this.#length) });
      }
    }
    this.#seconds = [...this.#seconds, seconds].slice(-MAX_POINTS);
    for (const [key, series] of this.#series) {
      series.values = [...series.values, given.get(key)?.value ?? null].slice(-this.#length);
      if (series.values.every((value) => value === null)) {
        this.#series.delete(key);
      }
    }
  }

  /**
   * Return when each step ended, in seconds since 1970; the oldest is about a quarter of an hour old.
   *
   * They are counted back from the newest: the daemon's clock may have been set since the others.
   */
  times() {
    const seconds = [...Array(MAX_POINTS - this.#length).fill(this.step), ...this.#seconds];
    const times = Array(MAX_POINTS);
    times[MAX_POINTS - 1] = this.ends;
    for (let i = MAX_POINTS - 1; i > 0; i -= 1) {
      times[i - 1] = times[i] - seconds[i];
    }
    return times;
  }

  /** Return the series of a kind; before the daemon was started they hold null. */
  of(kind) {
    return [...this.#series.values()]
      .filter((series) => series.kind === kind)
      .map(({ name, values }) => ({ name, values: [...blank(MAX_POINTS - values.length), ...values] }));
  }

  get #length() {
    return this.#seconds.length;
  }

  /** Return the newest rate of all series of a kind together; null if there is none. */
  newest(kind) {
    const values = this.of(kind)
      .map((series) => series.values.at(-1))
      .filter((value) => value !== null);
    return values.length ? values.reduce((sum, value) => sum + value, 0) : null;
  }
}

const keyOf = (kind, name) => `${kind} ${name}`;
const blank = (length) => Array(Math.max(0, length)).fill(null);
