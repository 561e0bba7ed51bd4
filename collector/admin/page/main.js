/** The status page: hears once a second how things are, and hands that to the views. */

import { signOut } from "./api.js";
import { Chart } from "./chart.js";
import { learn } from "./clock.js";
import { Connection } from "./connection.js";
import { byId } from "./dom.js";
import { Drift } from "./drift.js";
import { FirstSteps } from "./firststeps.js";
import { Flow } from "./flow.js";
import { Glance } from "./glance.js";
import { Header } from "./header.js";
import { History } from "./history.js";
import { Inbox } from "./inbox.js";
import { Intakes } from "./intakes.js";
import { Listeners } from "./listeners.js";
import { Sinks } from "./sinks.js";
import { Spool } from "./spool.js";
import { Stream } from "./stream.js";
import { Tabs } from "./tabs.js";
import { Tail } from "./tail.js";
import { Trial } from "./trial.js";
import { Troubles } from "./troubles.js";
import { Workers } from "./workers.js";

const MAX_SILENCE_MS = 15_000; // the daemon says something each second

const history = new History();
const header = new Header();
const connection = new Connection();
const glance = new Glance(byId("glance"));
const flow = new Flow(byId("ledger"));
const charts = [
  new Chart(byId("chart-intake"), history, "intake", "Events per second, by intake"),
  new Chart(byId("chart-sink"), history, "sink", "Events per second, by sink"),
];
const views = [
  new Troubles(),
  new FirstSteps(byId("first-steps"), byId("first-steps-text")),
  new Sinks(byId("sinks")),
  new Spool(byId("spool")),
  new Intakes(byId("intakes"), byId("senders")),
  new Listeners(byId("listeners")),
  new Workers(byId("workers-card"), byId("workers-table")),
  new Drift(byId("drift")),
];
const trial = new Trial();
const inbox = new Inbox();
const tail = new Tail((message) => {
  tabs.choose("trial");
  trial.tryMessage(message);
  byId("tab-trial").focus();
});

let status = null;
let chosen = "";

const live = new Stream(
  {
    history: (kept) => {
      history.replace(kept);
      if (kept.ends !== null) {
        learn(kept.ends);
      }
      drawCharts();
    },
    point: (point) => {
      history.add(point);
      learn(point.ends);
      drawCharts();
    },
    status: (now) => {
      status = now;
      drawStatus();
    },
  },
  (state) => connection.show(state),
  MAX_SILENCE_MS,
);

/** Draw what is seen of the status; other tabs do it when they are chosen. */
function drawStatus() {
  if (!status) {
    return;
  }
  header.update(status);
  tail.update(status);
  inbox.update(status);
  trial.update(status);
  tabs.setOffered("inbox", Boolean(status.inbox));
  if (chosen === "overview") {
    glance.update(status, history);
    flow.update(status);
    views.forEach((view) => view.update(status));
  }
}

function drawCharts() {
  if (chosen === "overview") {
    charts.forEach((chart) => chart.update());
  }
}

const tabs = new Tabs(document.querySelector('[role="tablist"]'), (name) => {
  chosen = name;
  drawStatus();
  drawCharts();
  lookIfSeen();
});

/** A page that nobody sees asks the daemon for nothing. */
function lookIfSeen() {
  tail.setShown(!document.hidden && chosen === "tail");
  inbox.setShown(!document.hidden && chosen === "inbox");
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    live.close();
  } else {
    live.open("api/live");
  }
  lookIfSeen();
});

byId("logout").addEventListener("click", signOut);

if (!document.hidden) {
  live.open("api/live");
}
