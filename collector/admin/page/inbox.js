/** The inbox: the newest events that the daemon keeps itself, where that is what a sink of it does. */

import { get } from "./api.js";
import { byId, el, setShown, setText } from "./dom.js";
import { commandFor } from "./firststeps.js";
import { absolute, number, timeOfDay } from "./format.js";
import { announce } from "./header.js";
import { preview } from "./message.js";
import { TailList } from "./taillist.js";
import { tree } from "./tree.js";

const MAX_LISTED = 200;
const MAX_NAME = 80; // characters of a value in a line
const CAME = "X-Collector-Events"; // how many events had come when the daemon answered

/**
 * Each look is a line of the audit log, so the daemon is asked for events when the tab is chosen, for
 * the first that come from then on, and by the button; of others that come it is said how many.
 */
export class Inbox {
  #isShown = false;
  #isDue = false; // what comes is asked for at once
  #isAsking = false;
  #daemon = ""; // when the one whose events are listed started
  #inbox = { events: 0, kept: 0 };
  #seen = 0; // of all events that came, those before the last look
  #listed = 0;
  #problem = "";

  constructor() {
    this.list = new TailList(byId("inbox-list"), row, (event) => this.#show(event));
    byId("inbox-refresh").addEventListener("click", () => this.#refresh());
  }

  /** @param {any} status the body of `/api/status` */
  update({ inbox, started, listeners }) {
    if (!inbox) {
      return;
    }
    if (started !== this.#daemon) {
      this.#daemon = started;
      this.#forget();
    }
    this.#inbox = inbox;
    setText(byId("inbox-command"), commandFor(listeners));
    this.#lookIfDue();
    this.#draw();
  }

  /** Begin or cease to look. */
  setShown(isShown) {
    if (isShown !== this.#isShown) {
      this.#isShown = isShown;
      this.#isDue = isShown;
      this.#lookIfDue();
    }
  }

  /** Let go of what another daemon kept: this one has it no more. */
  #forget() {
    this.list.clear();
    this.#listed = 0;
    this.#seen = 0;
    this.#isDue = this.#isShown;
    setShown(byId("inbox-detail"), false);
  }

  #lookIfDue() {
    const { events, kept } = this.#inbox;
    if (this.#isShown && this.#isDue && kept && events > this.#seen) {
      this.#look();
    }
  }

  async #refresh() {
    const before = this.#seen;
    await this.#look();
    announce(this.#problem || `Newer events: ${number(this.#seen - before)}`);
  }

  async #look() {
    if (this.#isAsking) {
      return;
    }
    this.#isAsking = true;
    this.#isDue = false;
    const asked = this.#daemon;
    try {
      const { body, headers } = await get("api/inbox");
      this.#problem = "";
      if (asked === this.#daemon) {
        this.#take(body, Number(headers.get(CAME)));
      }
    } catch (error) {
      this.#problem = `The events cannot be had: ${error.message}`;
    } finally {
      this.#isAsking = false;
    }
    this.#draw();
  }

  /**
   * Put what is new on top of the list, and take from its end what is too much or no longer kept.
   *
   * @param {any[]} events all that are kept, the oldest first
   * @param {number} came how many had come by then
   */
  #take(events, came) {
    const fits = Math.min(events.length, MAX_LISTED);
    const fresh = events.slice(events.length - Math.min(came - this.#seen, fits));
    const gone = this.#listed + fresh.length - fits;
    fresh.forEach((event, index) => this.list.prepend(event, index === 0 ? gone : 0));
    this.#listed = fits;
    this.#seen = came;
    this.#inbox = { events: came, kept: events.length };
    this.#isDue = !events.length;
  }

  #draw() {
    setShown(byId("inbox-empty"), !this.#listed && !this.#inbox.kept);
    setShown(byId("inbox-card"), this.#listed > 0);
    const state = this.#stateText();
    setShown(byId("inbox-state"), Boolean(state));
    setText(byId("inbox-state"), state);
  }

  #stateText() {
    const { events, kept } = this.#inbox;
    const newer = Math.max(0, events - this.#seen);
    const parts = [this.#problem];
    if (this.#listed) {
      parts.push(kept > MAX_LISTED ? `The newest ${MAX_LISTED} of ${number(kept)} kept` : `${number(kept)} kept`);
      parts.push(newer && `${number(newer)} newer, not listed yet`);
    }
    return parts.filter(Boolean).join(" · ");
  }

  #show(event) {
    setShown(byId("inbox-detail"), true);
    byId("inbox-event").replaceChildren(tree(event));
  }
}

function row(event) {
  const { agent, observer, host, event: what } = event;
  const isFailed = what?.kind === "pipeline_error";
  const doing = isFailed ? "pipeline error" : name(what?.action, what?.dataset, what?.code, what?.kind);
  return [
    timeOf(what?.created ?? event["@timestamp"]),
    el("span.intake", {}, name(observer?.vendor, observer?.product, agent?.name, what?.module)),
    el(`span.outcome${isFailed ? ".bad" : ""}`, {}, doing),
    el("span.peer", {}, name(host?.name, host?.hostname, host?.ip)),
    el("span.text", {}, preview(firstText(event.message), 300)),
  ];
}

/** The time of day at which an event came; the date is told on asking, since it may have been before. */
function timeOf(at) {
  return Number.isNaN(Date.parse(at)) ? el("time") : el("time", { datetime: at, title: absolute(at) }, timeOfDay(at));
}

/** Return what a line has room for, of the first value that can be told. */
const name = (...values) => preview(firstText(...values), MAX_NAME);

/** Return the first of some values that can be told in a line; of a list, its first. */
function firstText(...values) {
  const found = values
    .map((value) => (Array.isArray(value) ? value[0] : value))
    .find((value) => ["string", "number"].includes(typeof value) && value !== "");
  return found === undefined ? "" : String(found);
}
