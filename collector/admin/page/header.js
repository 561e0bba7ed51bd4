/** The state of the daemon in a line. */

import { daemonNow } from "./clock.js";
import { byId, el, setShown, setText } from "./dom.js";
import { absolute, duration, number } from "./format.js";

export class Header {
  #state = "";

  /** @param {any} status the body of `/api/status` */
  update(status) {
    const { version, started, ready, degraded, workers } = status;
    setText(byId("version"), version);
    const uptime = byId("uptime");
    setShown(uptime, true);
    setText(uptime, `up ${duration(Math.max(0, Math.floor((daemonNow() - Date.parse(started)) / 1000)))}`);
    uptime.title = `since ${absolute(started)}`;
    this.#showWorkers(workers);
    showRole(status.cluster);
    this.#showState(stateOf(ready, degraded));
    setShown(byId("logout"), status.access === "token");
  }

  #showWorkers(workers) {
    const place = byId("workers");
    setShown(place, Boolean(workers));
    if (workers) {
      const running = workers.filter(({ pid }) => pid !== null).length;
      const isWhole = running === workers.length;
      setText(place, isWhole ? `${number(running)} workers` : `${running} of ${workers.length} workers`);
      place.className = isWhole ? "fact" : "fact bad";
    }
  }

  #showState({ text, tone }) {
    const pill = byId("state");
    setText(pill, text);
    pill.className = `pill ${tone}`;
    document.title = tone === "ok" ? "collector" : `(${text}) collector`;
    if (this.#state && this.#state !== text) {
      announce(`The collector is ${text}`);
    }
    this.#state = text;
  }
}

const ROLES = { all: "one of several", receive: "receives only", deliver: "delivers only" };

/** Say what the daemon does where several share a stream. */
function showRole(cluster) {
  const place = byId("role");
  setShown(place, Boolean(cluster));
  if (cluster) {
    setText(place, ROLES[cluster.role]);
    place.title = `role ${cluster.role}; figures are those of ${cluster.part}, ${cluster.member}`;
  }
}

// What is said at once: the daemon answers again, it is ready, something is wrong.
const ANNOUNCEMENTS = 5;

/** Have screen readers say something when they are done with what they say, as all before it. */
export function announce(text) {
  const said = byId("announcer");
  said.append(el("p", {}, text));
  if (said.childElementCount > ANNOUNCEMENTS) {
    said.firstElementChild.remove();
  }
}

function stateOf(ready, degraded) {
  if (!ready) {
    return { text: "not ready", tone: "bad" };
  }
  return degraded.length
    ? { text: `degraded: ${degraded.length}`, tone: "warn" }
    : { text: "ready", tone: "ok" };
}
