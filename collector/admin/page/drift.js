/** What senders send that their parser does not know: the first sign of a vendor's new version. */

import { daemonNow } from "./clock.js";
import { el } from "./dom.js";
import { number } from "./format.js";
import { visible } from "./message.js";
import { DataTable } from "./table.js";
import { time, when } from "./when.js";

const SHOWN = 15;
const KINDS = { field: "new field", type: "other type", family: "new kind of message" };

export class Drift {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.table = new DataTable({
      caption: "Unknown source fields, the latest first",
      key: ({ intake, kind, field }) => `${intake} ${kind} ${field}`,
      empty: "None: senders send what their parsers know.",
      limit: SHOWN,
      columns: [
        { title: "Field", isHeader: true, value: ({ field }) => field, render: code },
        { title: "What", value: ({ kind }) => KINDS[kind] ?? kind },
        { title: "Intake", value: ({ intake }) => intake },
        { title: "Seen", isNumber: true, value: ({ count }) => number(count) },
        { title: "Masked sample", value: ({ sample }) => sample, render: code },
        {
          title: "Last seen",
          value: ({ last_seen: at }) => when(at, daemonNow()),
          render: time,
        },
      ],
    });
    root.append(this.table.element);
  }

  /** @param {any} status the body of `/api/status` */
  update({ drift }) {
    this.table.show(drift);
  }
}

const code = (text) => el("code", {}, visible(text));
