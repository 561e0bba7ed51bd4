// Says why somebody is asked again: the daemon then comes back to this page with the reason.
"use strict";

const REASONS = {
  refused: "That is not the daemon's token.",
  wait: "That is not the daemon's token, as were too many before it. Wait a minute.",
};

document.addEventListener("DOMContentLoaded", () => {
  const asked = new URLSearchParams(location.search);
  const reason = Object.keys(REASONS).find((name) => asked.has(name));
  if (reason) {
    const problem = document.getElementById("problem");
    problem.textContent = REASONS[reason];
    problem.hidden = false;
    document.getElementById("token").setAttribute("aria-invalid", "true");
  }
});
