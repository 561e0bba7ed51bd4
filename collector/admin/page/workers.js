/** The processes that share the work, where there are several. */

import { daemonNow } from "./clock.js";
import { el, setShown } from "./dom.js";
import { number } from "./format.js";
import { DataTable } from "./table.js";
import { time, when } from "./when.js";

export class Workers {
  /**
   * @param {HTMLElement} card is hidden where there is but one process
   * @param {HTMLElement} root
   */
  constructor(card, root) {
    this.card = card;
    this.table = new DataTable({
      caption: "Workers",
      key: (worker) => String(worker.number),
      empty: "",
      columns: [
        { title: "Worker", isHeader: true, value: (worker) => worker.number },
        { title: "State", value: (worker) => worker.pid, render: showState },
        {
          title: "Started",
          value: (worker) => when(worker.started, daemonNow()),
          render: time,
        },
        { title: "Restarts", isNumber: true, value: (worker) => worker.restarts },
        { title: "Connections", isNumber: true, value: (worker) => number(worker.connections) },
        { title: "Received", isNumber: true, value: (worker) => number(worker.ledger?.received ?? 0) },
      ],
    });
    root.append(this.table.element);
  }

  /** @param {any} status the body of `/api/status` */
  update({ workers = [] }) {
    setShown(this.card, workers.length > 0);
    this.table.show(workers);
  }
}

function showState(pid) {
  return pid === null
    ? el("span.pill.bad", {}, "not running")
    : el("span", {}, el("span.pill.ok", {}, "running"), " ", el("span.muted", {}, `pid ${pid}`));
}
