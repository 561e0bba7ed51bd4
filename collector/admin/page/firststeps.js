/** Says how to send a first message, as long as none has come. */

import { el, setShown } from "./dom.js";

const EVERYWHERE = { "0.0.0.0": "127.0.0.1", "::": "[::1]" }; // what listens there is also to be had here

export class FirstSteps {
  /**
   * @param {HTMLElement} card is hidden once something has come
   * @param {HTMLElement} root
   */
  constructor(card, root) {
    this.card = card;
    this.command = el("pre.command", { tabindex: 0, role: "region", "aria-label": "command" });
    root.append(
      el("p", {}, "Samples of all vendors, from a terminal on this machine:"),
      this.command,
      el(
        "p.muted",
        {},
        "A listener that is for one intake needs no key; others want --key KEY, unless the keys are in " +
          "./collector-data. What comes is counted here, and shown under Live tail.",
      ),
    );
  }

  /** @param {any} status the body of `/api/status` */
  update({ ledger, listeners }) {
    const isFirst = ledger.received === 0 && listeners.length > 0;
    setShown(this.card, isFirst);
    if (isFirst) {
      this.command.textContent = commandFor(listeners);
    }
  }
}

/** Write the command that sends samples, for the listener that asks the least of who sends. */
export function commandFor(listeners) {
  const open = listeners.filter(({ tls, path }) => !tls && !path);
  const found = ["tcp", "udp", "relp"].map((wanted) => open.find(({ transport }) => transport === wanted)).find(Boolean);
  if (!found) {
    return "collector send --help";
  }
  const { transport, host, port } = found;
  const place = EVERYWHERE[host] ?? (host.includes(":") ? `[${host}]` : host);
  return `collector send --to ${place}:${port}${transport === "tcp" ? "" : ` --transport ${transport}`}`;
}
