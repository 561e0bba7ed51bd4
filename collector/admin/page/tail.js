/** The live tail: messages as they come, each beside the event it became. */

import { Newest } from "./bounded.js";
import { byId, el, setShown, setText } from "./dom.js";
import { number, timeOfDay } from "./format.js";
import { messageBox, preview } from "./message.js";
import { TailList } from "./taillist.js";
import { Stream } from "./stream.js";
import { tree } from "./tree.js";

const MAX_WAITING = 1000; // messages kept while paused
const MAX_CHARACTERS = 32 * 1024 * 1024; // of messages kept while paused, and of those listed
const MAX_LISTED = 200;
const TYPING_MS = 400; // after the last key the text counts as written
const FAILED = new Set(["pipeline_error", "dead_letter", "rejected", "dropped"]);

/**
 * @typedef {object} Message
 * @property {string} at ISO
 * @property {string} listener
 * @property {string} peer
 * @property {string | null} intake
 * @property {"ok" | "pipeline_error" | "dead_letter" | "rejected" | "dropped"} outcome
 * @property {string} raw
 * @property {any} event null where there is none
 * @property {string | null} problem
 * @property {boolean} truncated
 */

export class Tail {
  #isShown = false;
  #isPaused = false;
  #arrived = [];
  #skipped = 0;
  #letGo = 0;
  #state = { name: "closed" };
  #frame = 0;
  #intakes = "";

  /** @param {(message: Message) => void} onTry what to do with a message that is to be tried */
  constructor(onTry) {
    this.onTry = onTry;
    this.form = byId("tail-filter");
    this.pauseButton = byId("tail-pause");
    this.waiting = new Newest(MAX_WAITING, MAX_CHARACTERS, sizeOf);
    this.listed = new Newest(MAX_LISTED, MAX_CHARACTERS, sizeOf);
    this.list = new TailList(byId("tail-list"), row, (message) => this.#show(message));
    this.stream = new Stream(
      { message: (message) => this.#take(message), skipped: ({ count }) => this.#skip(count) },
      (state) => this.#turn(state),
    );
    this.#listenToControls();
  }

  /** Offer the intakes there are; one that was chosen and is gone would match nothing any more. */
  update({ intakes }) {
    const names = ["", ...intakes.map(({ name }) => name)];
    const signature = JSON.stringify(names);
    if (signature !== this.#intakes) {
      this.#intakes = signature;
      const select = this.form.elements.intake;
      const chosen = select.value;
      select.replaceChildren(...names.map((name) => el("option", { value: name }, name || "any")));
      select.value = names.includes(chosen) ? chosen : "";
      if (this.#isShown) {
        this.#restart();
      }
    }
  }

  /** Begin or cease to look. Nothing is asked of the daemon while nobody looks. */
  setShown(isShown) {
    if (isShown === this.#isShown) {
      return;
    }
    this.#isShown = isShown;
    if (isShown) {
      this.#open();
    } else {
      this.stream.close();
    }
  }

  #listenToControls() {
    let timer = 0;
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("change", () => this.#restart());
    this.form.elements.text.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.#restart(), TYPING_MS);
    });
    this.pauseButton.addEventListener("click", () => this.#pause(!this.#isPaused));
    byId("tail-clear").addEventListener("click", () => this.#clear());
  }

  #query() {
    const filled = [...new FormData(this.form)].filter(([, value]) => value);
    return new URLSearchParams(filled).toString();
  }

  #open() {
    const query = this.#query();
    this.query = query;
    this.stream.open(`api/tail${query && `?${query}`}`);
  }

  /** Look for other messages; those that are shown may not match. */
  #restart() {
    if (this.#query() !== this.query) {
      this.#clear();
      this.#open();
    }
  }

  #pause(isPaused) {
    this.#isPaused = isPaused;
    this.pauseButton.setAttribute("aria-pressed", String(isPaused));
    setText(this.pauseButton, isPaused ? "Resume" : "Pause");
    if (!isPaused) {
      this.#arrived.push(...this.waiting.take());
      this.#letGo = 0;
    }
    this.#draw();
  }

  #clear() {
    this.#arrived = [];
    this.waiting.take();
    this.listed.take();
    this.list.clear();
    this.#skipped = 0;
    this.#letGo = 0;
    setShown(byId("tail-detail"), false);
    this.#draw();
  }

  #take(message) {
    if (this.#isPaused) {
      this.#letGo += this.waiting.add(message).length;
    } else {
      this.#arrived.push(message);
    }
    this.#draw();
  }

  #skip(count) {
    this.#skipped += count;
    this.#draw();
  }

  #turn(state) {
    this.#state = state;
    this.#draw();
  }

  /** Draw what has come, once a frame however much has. */
  #draw() {
    if (!this.#frame) {
      this.#frame = requestAnimationFrame(() => this.#drawNow());
    }
  }

  #drawNow() {
    this.#frame = 0;
    for (const message of this.#arrived.splice(0)) {
      const gone = this.listed.add(message);
      this.list.prepend(message, gone.length);
    }
    setText(byId("tail-state"), this.#stateText());
    setShown(byId("tail-empty"), !this.listed.length);
    setText(byId("tail-empty"), emptyText(this.query));
  }

  #stateText() {
    const stream = { live: "Live", connecting: "Connecting", closed: "Stopped", away: "The daemon is away" };
    const parts = [this.#isPaused ? "Paused" : stream[this.#state.name]];
    if (this.#isPaused) {
      parts.push(`${number(this.waiting.length)} waiting`);
    }
    if (this.#letGo) {
      parts.push(`${number(this.#letGo)} older ones let go`);
    }
    if (this.listed.length === MAX_LISTED) {
      parts.push(`the newest ${MAX_LISTED} are listed`);
    }
    if (this.#skipped) {
      parts.push(`${number(this.#skipped)} not shown, more came than one can read`);
    }
    return parts.join(" · ");
  }

  #show(message) {
    setShown(byId("tail-detail"), true);
    byId("tail-raw").replaceChildren(
      facts(message),
      messageBox(message.raw, message.truncated),
      el("button", { type: "button", onclick: () => this.onTry(message) }, "Try this one"),
    );
    byId("tail-event").replaceChildren(
      message.problem ? el("p.problem", {}, message.problem) : "",
      message.event ? tree(message.event) : el("p.empty", {}, "There is no event of it."),
    );
  }
}

const emptyText = (query) =>
  query
    ? "No message has matched since. Messages are shown as they come; what came before is not."
    : "No message has come since you look. Messages are shown as they come; the overview counts those before.";

const sizeOf = (message) => message.raw.length * 2 + 1000; // the event holds it again

function row({ at, outcome, intake, peer, raw, problem }) {
  return [
    el("time", { datetime: at }, timeOfDay(at)),
    el(`span.outcome.${FAILED.has(outcome) ? "bad" : "ok"}`, {}, outcome.replaceAll("_", " ")),
    el("span.intake", {}, intake ?? "no intake"),
    el("span.peer", {}, peer || "local"),
    el("span.text", {}, problem && el("span.problem", {}, `${preview(problem, 120)} · `), preview(raw, 300)),
  ];
}

function facts({ at, listener, peer, intake, outcome }) {
  const pairs = [
    ["received", at],
    ["listener", listener],
    ["sender", peer || "local"],
    ["intake", intake ?? "none"],
    ["outcome", outcome.replaceAll("_", " ")],
  ];
  return el("dl.terms.inline", {}, ...pairs.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}
