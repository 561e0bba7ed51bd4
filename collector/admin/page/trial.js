/** Try a message: what would become of it. */

import { post, Refusal } from "./api.js";
import { byId, el, setText } from "./dom.js";
import { explained } from "./explanation.js";
import { number } from "./format.js";
import { SAMPLES } from "./samples.js";

export class Trial {
  #attempt = 0;
  #intakes = [];

  constructor() {
    this.form = byId("trial-form");
    this.result = byId("trial-result");
    const { sample, raw } = this.form.elements;
    sample.replaceChildren(
      el("option", { value: "" }, "choose"),
      ...SAMPLES.map(({ name }, index) => el("option", { value: index }, name)),
    );
    sample.addEventListener("change", () => this.#insert(SAMPLES[sample.value]));
    raw.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        this.#try();
      }
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#try();
    });
  }

  /** Learn what parser and profile each intake has, where the daemon says so. */
  update({ intakes }) {
    this.#intakes = intakes;
  }

  /** Try a message of the tail. */
  tryMessage({ raw, intake }) {
    const { elements } = this.form;
    const known = this.#intakes.find(({ name }) => name === intake);
    elements.raw.value = raw;
    elements.parser.value = known?.parser ?? parserFor(raw) ?? elements.parser.value;
    elements.profile.value = known?.profile ?? elements.profile.value;
    elements.sample.value = "";
    this.#try();
  }

  #insert(sample) {
    if (sample) {
      this.form.elements.raw.value = sample.raw;
      this.form.elements.parser.value = sample.parser;
      this.#try();
    }
  }

  async #try() {
    const { raw, parser, profile } = this.form.elements;
    this.#attempt += 1;
    const attempt = this.#attempt;
    this.#say(raw.value ? "Parsing" : "Paste a message first.");
    this.result.replaceChildren();
    if (!raw.value) {
      return;
    }
    try {
      const answer = await post("api/parse", { parser: parser.value, profile: profile.value, raw: raw.value });
      if (attempt === this.#attempt) {
        this.#show(answer);
      }
    } catch (error) {
      if (attempt === this.#attempt) {
        this.#say(refusalText(error), "bad");
      }
    }
  }

  #say(text, tone = "") {
    const state = byId("trial-state");
    state.className = `trial-state ${tone}`;
    setText(state, text);
  }

  #show(answer) {
    const isOk = answer.outcome === "ok";
    const unmapped = answer.unmapped.length;
    const rest = unmapped ? `; ${counted(unmapped, "source field")} not mapped` : "";
    const parsed = `Parsed: ${counted(answer.fields.length, "field")}${rest}.`;
    this.#say(isOk ? parsed : `Not parsed. ${answer.problem}`, isOk ? "ok" : "bad");
    this.result.replaceChildren(...explained(answer));
  }
}

const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

/** Guess the parser by how a message looks; undefined if it looks like nothing that is known. */
function parserFor(raw) {
  if (/CEF:|^\s*\d+(\.\d+)?\|/.test(raw)) {
    return "cybereason";
  }
  return raw.includes("{") ? "harfanglab" : undefined;
}

function refusalText(error) {
  if (!(error instanceof Refusal)) {
    return `The daemon does not answer: ${error.message}`;
  }
  return error.status === 413 ? "The message is too long: at most 1 MiB." : `Refused: ${error.message}`;
}
