/** Where messages come in: address, connections, and what was not taken. */

import { chips, el } from "./dom.js";
import { number } from "./format.js";
import { DataTable } from "./table.js";

export class Listeners {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.table = new DataTable({
      caption: "Listeners",
      key: (listener) => listener.name,
      empty: "No listener is open here.",
      columns: [
        { title: "Listener", isHeader: true, value: (listener) => listener.name },
        { title: "Address", value: addressOf, render: showAddress },
        { title: "Messages", isNumber: true, value: (listener) => number(listener.messages) },
        { title: "Connections", isNumber: true, value: connectionsOf, render: muted },
        { title: "Connections refused", value: (item) => item.connections_rejected, render: (it) => chips(it, "warn") },
        { title: "Messages rejected", value: (listener) => listener.rejected, render: (it) => chips(it, "warn") },
        { title: "Truncated", isNumber: true, value: (listener) => listener.truncated, render: alarming("warn") },
        { title: "Kernel drops", isNumber: true, value: (listener) => listener.kernel_drops, render: alarming("bad") },
      ],
    });
    root.append(this.table.element);
  }

  /** @param {any} status the body of `/api/status` */
  update({ listeners }) {
    this.table.show(listeners);
  }
}

function addressOf({ transport, tls, host, port, path }) {
  const place = path ?? `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return { transport: tls ? `${transport} with TLS` : transport, place };
}

function showAddress({ transport, place }) {
  return el("div", {}, el("code", {}, place), " ", el("span.muted", {}, transport));
}

/** Datagrams come without connections. */
const connectionsOf = ({ transport, connections }) =>
  transport === "udp" || transport === "unix-datagram" ? null : number(connections);

const muted = (value) => (value === null ? el("span.muted", {}, "—") : String(value));

/** Return what shows a count that should be 0; null means that nobody counts. */
const alarming = (tone) => (count) =>
  count ? el(`strong.${tone}`, {}, number(count)) : el("span.muted", {}, count === null ? "—" : "0");
