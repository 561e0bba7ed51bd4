/** What came in by intake: how much could be read, why the rest could not, and who sent it. */

import { daemonNow } from "./clock.js";
import { chips, el } from "./dom.js";
import { number, percent } from "./format.js";
import { visible } from "./message.js";
import { DataTable } from "./table.js";
import { time, when } from "./when.js";

const SENDERS_SHOWN = 6;

export class Intakes {
  /**
   * @param {HTMLElement} root
   * @param {HTMLElement} senders
   */
  constructor(root, senders) {
    this.intakes = new DataTable({
      caption: "Intakes",
      key: (intake) => intake.name,
      empty: "No intake is configured.",
      columns: [
        { title: "Intake", isHeader: true, value: (intake) => intake.name },
        { title: "Events", isNumber: true, value: ({ events }) => number(events.ok + events.pipeline_error) },
        { title: "Not parsed", isNumber: true, value: failures, render: showFailures },
        { title: "Parse errors", value: (intake) => intake.parse_errors, render: (counts) => chips(counts, "bad") },
        { title: "Repaired", value: (intake) => intake.repaired, render: (counts) => chips(counts) },
      ],
    });
    this.senders = new DataTable({
      caption: "Senders, the latest first",
      key: ({ intake, source }) => `${intake} ${source}`,
      empty: "Nobody has sent anything yet. Point senders at a listener below.",
      limit: SENDERS_SHOWN,
      columns: [
        { title: "Sender", isHeader: true, value: ({ source }) => source, render: code },
        { title: "Intake", value: ({ intake }) => intake },
        {
          title: "Last seen",
          value: ({ at, silent }) => ({ shown: when(at, daemonNow()), silent }),
          render: ({ shown, silent }) =>
            el("div", {}, time(shown), silent && el("div.reason", {}, silent)),
        },
      ],
    });
    root.append(this.intakes.element);
    this.senders.element.classList.add("compact");
    senders.append(this.senders.element);
  }

  /** @param {any} status the body of `/api/status` */
  update({ intakes, degraded }) {
    this.intakes.show(intakes);
    const silent = new Map(
      degraded.filter((entry) => entry.source).map((entry) => [`${entry.intake} ${entry.source}`, entry.reason]),
    );
    const senders = intakes.flatMap(({ name, last_seen: lastSeen }) =>
      lastSeen.map(({ source, at }) => ({ intake: name, source, at, silent: silent.get(`${name} ${source}`) })),
    );
    senders.sort((one, other) => urgency(other).localeCompare(urgency(one)) || byName(one, other));
    this.senders.show(senders);
  }
}

const code = (text) => el("code", {}, visible(text));

/** Who has fallen silent comes first, then the latest: by minute, so that busy ones keep their places. */
const urgency = ({ silent, at }) => `${silent ? 1 : 0} ${at.slice(0, 16)}`;

const byName = (one, other) =>
  one.intake.localeCompare(other.intake) || one.source.localeCompare(other.source, "en", { numeric: true });

function failures({ events }) {
  const all = events.ok + events.pipeline_error;
  return { count: events.pipeline_error, share: all ? percent(events.pipeline_error / all) : "" };
}

function showFailures({ count, share }) {
  return count ? el("div.bad", {}, number(count), el("div.muted", {}, share)) : el("span.muted", {}, "0");
}
