/** What works only in part: which part, why, and since when, where the daemon says so. */

import { daemonNow } from "./clock.js";
import { byId, el, setShown } from "./dom.js";
import { ago, lasting, number } from "./format.js";
import { visible } from "./message.js";
import { time, when } from "./when.js";

const SHOWN = 10;

export class Troubles {
  #signature = "";

  /** @param {any} status the body of `/api/status` */
  update(status) {
    const now = daemonNow();
    const troubles = status.degraded.map((entry) => troubleOf(entry, status, now));
    const signature = JSON.stringify(troubles);
    if (signature === this.#signature) {
      return;
    }
    this.#signature = signature;
    const more = troubles.length - SHOWN;
    setShown(byId("degraded"), troubles.length > 0);
    byId("reasons").replaceChildren(
      ...troubles.slice(0, SHOWN).map(item),
      ...(more > 0 ? [el("li", {}, `${number(more)} more; see below`)] : []),
    );
  }
}

/** An entry names what it is about by its kind: `{"sink": "siem", "reason": "…"}`. */
function troubleOf({ reason, ...subject }, status, now) {
  return { subject: Object.entries(subject), reason, at: momentOf(subject, status, now) };
}

/** Say since when a sink fails, or when a sender was last heard; undefined where nobody knows. */
function momentOf({ sink, intake, source }, { sinks, intakes }, now) {
  if (source) {
    const seen = intakes.find(({ name }) => name === intake)?.last_seen;
    const at = seen?.find((entry) => entry.source === source)?.at;
    return at && when(at, now, (...times) => `last ${ago(...times)}`);
  }
  const since = sinks.find(({ name }) => name === sink)?.down_since;
  return since && when(since, now, lasting);
}

function item({ subject, reason, at }) {
  const names = subject.flatMap(([kind, name], i) => [i ? ", " : "", `${kind} `, visible(name)]);
  return el("li", {}, el("strong", {}, ...names), names.length > 0 && ": ", reason, at && ", ", at && time(at));
}
