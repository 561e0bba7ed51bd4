/** Colours of the style sheet, for the canvas, which knows no variables. */

const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);

/** Return what a variable such as `--muted` stands for in the theme there is. */
export function colour(variable) {
  probe.style.color = `var(${variable})`;
  return getComputedStyle(probe).color;
}
