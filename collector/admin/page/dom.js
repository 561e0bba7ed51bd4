/** Builds elements. Data gets in as text only, so that no message can become markup. */

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node | string | number | null | undefined | false} Child what is nothing is left out */

/**
 * Make an HTML element.
 *
 * @param {string} name its tag, with classes after dots: `span.pill.ok`
 * @param {Object<string, any>} [attributes] `on…` are listeners; false, null and undefined are left out
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  return furnished(document.createElement(tag), classes, attributes, children);
}

/** Make an SVG element, as `el` does. */
export function svg(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  return furnished(document.createElementNS(SVG, tag), classes, attributes, children);
}

function furnished(element, classes, attributes, children) {
  if (classes.length) {
    element.setAttribute("class", classes.join(" "));
  }
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) {
      element.addEventListener(key.slice(2), value);
    } else if (value === true) {
      element.setAttribute(key, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(key, value);
    }
  }
  element.append(...children.filter((child) => child || child === 0).map(asNode));
  return element;
}

const asNode = (child) => (child instanceof Node ? child : document.createTextNode(String(child)));

/** Return the element of an id that the page is known to have. */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) {
    throw new Error(`the page has no #${id}`);
  }
  return element;
}

/** Write a text where it is another: what does not change costs no layout and disturbs no selection. */
export function setText(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/**
 * Have something done when the width of an element changes, in the next frame: what is drawn then
 * may change sizes itself.
 */
export function onResize(element, draw) {
  new ResizeObserver(() => requestAnimationFrame(draw)).observe(element);
}

/** Show or hide an element. */
export function setShown(element, isShown) {
  if (element.hidden === isShown) {
    element.hidden = !isShown;
  }
}

/**
 * Make counts by reason: each a chip, the most frequent first.
 *
 * @param {Object<string, number>} counts
 * @param {string} [tone] a class: `bad`, `warn` or nothing
 */
export function chips(counts, tone = "") {
  const entries = Object.entries(counts).filter(([, count]) => count);
  if (!entries.length) {
    return el("span.muted", {}, "none");
  }
  entries.sort(([, one], [, other]) => other - one);
  const items = entries.map(([name, count]) =>
    el("li", { class: `chip ${tone}` }, el("code", {}, name), " ", count.toLocaleString("en")),
  );
  return el("ul.chips", {}, ...items);
}
