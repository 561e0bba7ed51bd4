// Shows what goes wrong in the page's own code. A classic script that comes first, so that it also
// sees modules that cannot be loaded.
"use strict";

(() => {
  const MAX_SHOWN = 5;
  const seen = new Map();

  /** @param {string} text what went wrong */
  function report(text) {
    const known = seen.get(text);
    if (known) {
      known.count += 1;
      known.item.textContent = `${text} (${known.count} times)`;
    } else if (seen.size < MAX_SHOWN) {
      const item = document.createElement("li");
      item.textContent = text;
      seen.set(text, { count: 1, item });
      list().append(item);
    }
  }

  /** Return the list in the banner; make both if this is the first error. */
  function list() {
    const known = document.getElementById("errors");
    if (known) {
      return known.querySelector("ul");
    }
    const banner = document.createElement("section");
    banner.id = "errors";
    banner.className = "banner bad";
    banner.setAttribute("role", "alert");
    const title = document.createElement("strong");
    title.textContent = "This page has a fault; what it shows may be wrong or old. Please report:";
    const items = document.createElement("ul");
    banner.append(title, items);
    const place = () => document.body.prepend(banner);
    if (document.body) {
      place();
    } else {
      document.addEventListener("DOMContentLoaded", place);
    }
    return items;
  }

  window.addEventListener(
    "error",
    (event) => {
      const { target } = event;
      if (target instanceof HTMLElement) {
        report(`cannot be loaded: ${target.getAttribute("src") ?? target.getAttribute("href")}`);
      } else {
        const where = event.filename ? ` (${event.filename}:${event.lineno})` : "";
        report(`${event.message}${where}`);
      }
    },
    true, // files that cannot be loaded do not bubble
  );
  window.addEventListener("unhandledrejection", (event) => {
    report(String(event.reason?.stack ?? event.reason));
  });
})();
