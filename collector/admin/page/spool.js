/** What waits: how much of the bound it takes, how old the oldest is, what the disk has left. */

import { el, setShown, setText } from "./dom.js";
import { duration, number, octets, percent } from "./format.js";

const WARN_SHARE = 0.7;
const BAD_SHARE = 0.9;
const LOW_DISK = 1024 ** 3; // octets

export class Spool {
  #terms = new Map();

  /** @param {HTMLElement} root */
  constructor(root) {
    this.bar = el("div");
    this.meter = el(
      "div.meter",
      { role: "meter", "aria-label": "share of the spool that is taken", "aria-valuemin": 0, "aria-valuemax": 100 },
      this.bar,
    );
    this.text = el("p.meter-text");
    this.list = el("dl.terms");
    root.append(this.meter, this.text, this.list);
  }

  /** @param {any} status the body of `/api/status` */
  update(status) {
    const { spool, degraded, buffered_bytes: buffered } = status;
    const share = spool.max_bytes ? spool.octets / spool.max_bytes : 0;
    this.meter.setAttribute("aria-valuenow", (share * 100).toFixed(1));
    this.meter.className = `meter ${share >= BAD_SHARE ? "bad" : share >= WARN_SHARE ? "warn" : "ok"}`;
    this.bar.style.width = `${Math.min(100, share * 100)}%`;
    setText(this.text, `${octets(spool.octets)} of ${octets(spool.max_bytes)}, ${percent(share)}`);
    const trouble = degraded.find((part) => "spool" in part)?.reason;
    this.#term("State", trouble ?? (spool.full ? "full, listeners do not read" : "has room"), (trouble || spool.full) && "bad");
    this.#term("Waiting", `${number(waiting(status) + total(spool.gone))} events`);
    this.#term("Oldest", oldest(status));
    this.#showStream(spool.stream);
    this.#term("Disk free", known(spool.disk_free, octets), spool.disk_free < LOW_DISK && "warn");
    this.#term("Kept", spool.type === "memory" ? "in memory only, a crash loses it" : spool.path);
    this.#term("Unfinished messages", octets(buffered ?? 0));
    for (const [sink, count] of Object.entries(spool.gone)) {
      this.#term(`For ${sink}`, `${number(count)} events; no such sink is configured`, "warn");
    }
    this.#term("Damaged files", spool.quarantined ? octets(spool.quarantined) : null, "bad");
    const unwritten = spool.in_memory_at_last_write;
    this.#term("When it last crashed", unwritten ? `${number(unwritten)} copies were in memory alone` : null, "bad");
    this.#forget(spool.gone);
  }

  /** Show what several daemons share, if they do. */
  #showStream(stream) {
    if (!stream) {
      return;
    }
    const { connected, problem, octets: used, max_bytes: bound } = stream;
    this.#term("Stream", `${stream.name}, ${connected ? "connected" : problem || "not connected yet"}`, !connected && "bad");
    const share = used / bound;
    this.#term(
      "Stream holds",
      known(used, () => `${octets(used)} of ${octets(bound)}, ${percent(share)}`),
      share >= BAD_SHARE ? "bad" : share >= WARN_SHARE && "warn",
    );
    this.#term("In the stream", `${number(total(stream.events))} events`);
    this.#term("Taken here", `${number(total(stream.in_hand))} events`);
    this.#term("Dead letters there", number(total(stream.dead_letters.events)));
  }

  /** Show a term with its value; none where the value is null. */
  #term(name, value, tone = "") {
    if (!this.#terms.has(name)) {
      const entry = { term: el("dt", {}, name), value: el("dd") };
      this.#terms.set(name, entry);
      this.list.append(entry.term, entry.value);
    }
    const entry = this.#terms.get(name);
    setShown(entry.term, value !== null);
    setShown(entry.value, value !== null);
    setText(entry.value, value ?? "");
    entry.value.className = tone || "";
  }

  /** Let go of sinks that nothing waits for any more. */
  #forget(gone) {
    for (const [name, entry] of this.#terms) {
      if (name.startsWith("For ") && !(name.slice(4) in gone)) {
        entry.term.remove();
        entry.value.remove();
        this.#terms.delete(name);
      }
    }
  }
}

/** Return how many events wait for all sinks, here and in the stream if there is one. */
export const waiting = ({ sinks, spool }) =>
  sinks.reduce((sum, sink) => sum + sink.waiting.events, total(spool.stream?.events ?? {}));

/** Say how old the oldest of what waits is. */
export function oldest({ sinks, spool }) {
  const ages = sinks.filter((sink) => sink.waiting.events).map((sink) => sink.waiting.oldest_seconds);
  if (spool.stream?.oldest_seconds) {
    ages.push(spool.stream.oldest_seconds);
  }
  return ages.length ? duration(Math.max(...ages)) : "none";
}

const known = (value, show) => (value === null || value === undefined ? "unknown" : show(value));
const total = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);
