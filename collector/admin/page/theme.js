// Light, dark or as the system has it: kept in this browser, put into effect before the first paint.
"use strict";

(() => {
  const KEY = "collector-theme";
  const NEXT = { system: "light", light: "dark", dark: "system" };

  /** Return the choice; what is kept may be anything, and storage may be forbidden. */
  function chosen() {
    try {
      const kept = localStorage.getItem(KEY);
      return kept in NEXT ? kept : "system";
    } catch {
      return "system";
    }
  }

  function choose(theme) {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // It then holds for this page alone.
    }
    apply(theme);
  }

  function apply(theme) {
    document.documentElement.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) {
      button.textContent = `Theme: ${theme}`;
    }
    window.dispatchEvent(new Event("themechange"));
  }

  apply(chosen());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(chosen()));
  document.addEventListener("DOMContentLoaded", () => {
    apply(chosen());
    document.getElementById("theme")?.addEventListener("click", () => {
      choose(NEXT[document.documentElement.dataset.theme]);
    });
  });
})();
