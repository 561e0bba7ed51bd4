/**
 * Tabs, by the ARIA pattern: arrow keys, Home and End move among them, and the address says which one
 * is chosen, so that it can be linked to.
 */

const TAB = "tab-"; // begins the id of a tab; its name follows
const PANEL = "panel-"; // and that of its panel: no id is a name, or the browser would scroll there

export class Tabs {
  #tabs;
  #onChange;
  #chosen = "";
  #awaited = ""; // the address says it, and it is not offered yet

  /**
   * @param {HTMLElement} list the `role=tablist`
   * @param {(name: string) => void} onChange is told the name of the panel that is shown
   */
  constructor(list, onChange) {
    this.#tabs = [...list.querySelectorAll('[role="tab"]')];
    this.#onChange = onChange;
    for (const tab of this.#tabs) {
      tab.addEventListener("click", () => this.choose(nameOf(tab)));
      tab.addEventListener("keydown", (event) => this.#onKey(event));
    }
    window.addEventListener("hashchange", () => this.#fromAddress());
    this.#fromAddress();
  }

  /** Show a panel. */
  choose(name) {
    if (name === this.#chosen) {
      return;
    }
    this.#chosen = name;
    this.#awaited = "";
    for (const tab of this.#tabs) {
      const isChosen = nameOf(tab) === name;
      tab.setAttribute("aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
      document.getElementById(PANEL + nameOf(tab)).hidden = !isChosen;
    }
    history.replaceState(null, "", `#${name}`);
    this.#onChange(name);
  }

  /** Offer a tab, or withdraw it: not every daemon has what it shows. */
  setOffered(name, isOffered) {
    const tab = this.#tabs.find((one) => nameOf(one) === name);
    if (tab.hidden !== isOffered) {
      return;
    }
    tab.hidden = !isOffered;
    if (isOffered && name === this.#awaited) {
      this.choose(name);
    } else if (!isOffered && name === this.#chosen) {
      this.choose(nameOf(this.#offered[0]));
    }
  }

  get #offered() {
    return this.#tabs.filter((tab) => !tab.hidden);
  }

  #fromAddress() {
    const wanted = location.hash.slice(1);
    if (this.#offered.map(nameOf).includes(wanted)) {
      this.choose(wanted);
    } else if (!this.#chosen) {
      this.choose(nameOf(this.#offered[0]));
      this.#awaited = wanted;
    }
  }

  #onKey(event) {
    const tabs = this.#offered;
    const index = tabs.indexOf(event.currentTarget);
    const last = tabs.length - 1;
    const goal = {
      ArrowRight: index === last ? 0 : index + 1,
      ArrowLeft: index === 0 ? last : index - 1,
      Home: 0,
      End: last,
    }[event.key];
    if (goal !== undefined) {
      event.preventDefault();
      tabs[goal].focus();
      this.choose(nameOf(tabs[goal]));
    }
  }
}

const nameOf = (tab) => tab.id.slice(TAB.length);
