/** Says whether the page hears from the daemon, and since when it does not. */

import { byId, setShown, setText } from "./dom.js";
import { announce } from "./header.js";
import { duration, timeOfDay } from "./format.js";

export class Connection {
  #awaySince = "";
  #timer = 0;

  /** @param {import("./stream.js").StreamState} state */
  show(state) {
    clearInterval(this.#timer);
    const fact = byId("connection");
    fact.className = `fact connection ${state.name}`;
    if (state.name === "live") {
      setText(fact, "live");
      this.#back();
    } else if (state.name === "away") {
      this.#away();
      this.#countDown(fact, Date.now() + state.retryMs);
    } else {
      setText(fact, state.name === "closed" ? "stopped" : "connecting");
    }
  }

  #away() {
    if (!this.#awaySince) {
      this.#awaySince = new Date().toISOString();
      setText(byId("away"), `The daemon has not answered since ${timeOfDay(this.#awaySince)}; what you see is from before.`);
      setShown(byId("away"), true);
      byId("main").classList.add("stale");
    }
  }

  #back() {
    if (this.#awaySince) {
      this.#awaySince = "";
      setShown(byId("away"), false);
      byId("main").classList.remove("stale");
      announce("The daemon answers again");
    }
  }

  #countDown(fact, due) {
    const tell = () => setText(fact, `away, next try in ${duration(Math.max(0, Math.round((due - Date.now()) / 1000)))}`);
    tell();
    this.#timer = setInterval(tell, 1000);
  }
}
