/** Where events go: whether each sink accepts them, what it said last, what waits for it. */

import { daemonNow } from "./clock.js";
import { chips, el } from "./dom.js";
import { duration, lasting, number, octets } from "./format.js";
import { visible } from "./message.js";
import { DataTable } from "./table.js";
import { time, when } from "./when.js";

const MAX_SAID = 300; // characters of what a sink said

export class Sinks {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.table = new DataTable({
      caption: "Sinks",
      key: (sink) => sink.name,
      empty: "No sink is configured.",
      columns: [
        { title: "Sink", isHeader: true, value: (sink) => sink.name },
        { title: "State", value: stateOf, render: showState },
        { title: "Delivered", isNumber: true, value: (sink) => number(sink.delivered) },
        { title: "In flight", isNumber: true, value: (sink) => number(sink.in_flight) },
        { title: "Waiting", isNumber: true, value: waitingOf, render: showWaiting },
        { title: "Answers", value: (sink) => sink.requests, render: (counts) => chips(counts) },
        {
          title: "Last success",
          value: (sink) => sink.last_success && when(sink.last_success, daemonNow()),
          render: (shown) => (shown ? time(shown) : el("span.muted", {}, "none yet")),
        },
      ],
    });
    root.append(this.table.element);
  }

  /** @param {any} status the body of `/api/status` */
  update({ sinks, degraded, cluster, spool }) {
    const isPosted = cluster?.role !== "receive";
    const inStream = spool.stream?.events ?? {};
    const reasons = (name) => degraded.filter((entry) => entry.sink === name).map((entry) => entry.reason);
    this.table.show(
      sinks.map((sink) => ({ ...sink, isPosted, inStream: inStream[sink.name] ?? 0, reasons: reasons(sink.name) })),
    );
  }
}

function stateOf(sink) {
  const { reasons, down_since: since, last_failure: failure, failure_store: failureStore } = sink;
  const now = daemonNow();
  return {
    ...pillOf(sink),
    since: since && when(since, now, lasting),
    // What a reason says in short the error says in full.
    reasons: reasons.filter((reason) => !failure?.problem.startsWith(reason)),
    failure: failure && { said: failure.problem, at: when(failure.at, now) },
    failureStore,
  };
}

/** A sink that is paused refuses what we are, not what we send: it waits for somebody to act. */
function pillOf({ up, paused, reasons, isPosted }) {
  if (!isPosted) {
    return { text: "elsewhere", tone: "muted" };
  }
  if (paused) {
    return { text: "paused", tone: "bad" };
  }
  if (!up) {
    return { text: "down", tone: "bad" };
  }
  return reasons.length ? { text: "up in part", tone: "warn" } : { text: "up", tone: "ok" };
}

function showState({ text, tone, since, reasons, failure, failureStore }) {
  return el(
    "div",
    {},
    el(`span.pill.${tone}`, {}, text),
    since && el("span.since", {}, " ", time(since)),
    ...reasons.map((reason) => el("div.reason", {}, reason)),
    failure && showFailure(failure),
    failureStore ? el("div.reason", {}, `${number(failureStore)} events went to its failure store`) : null,
  );
}

function showFailure({ said, at }) {
  return el("div.said", {}, el("span.muted", {}, "last error ", time(at), ": "), visible(said.slice(0, MAX_SAID)));
}

function waitingOf({ waiting, inStream }) {
  return {
    events: number(waiting.events),
    shared: inStream ? `${number(inStream)} in the stream` : "",
    more: waiting.events ? `${octets(waiting.octets)}, ${duration(Math.round(waiting.oldest_seconds))} old` : "",
  };
}

function showWaiting({ events, shared, more }) {
  return el("div", {}, events, more && el("div.muted", {}, more), shared && el("div.muted", {}, shared));
}
