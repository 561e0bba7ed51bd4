/**
 * Finds the fields of a raw message in its text, so that it can be shown where a value comes from.
 *
 * It need not read what the parsers read: what it does not find is not marked, nothing else.
 */

/**
 * @typedef {object} Place a field and where it stands, its key included
 * @property {string} name as the parsers name it
 * @property {number} start
 * @property {number} end
 */

const MAX_PLACES = 5000;
const MAX_DEPTH = 32;

const HEADER = [
  "CEFVersion",
  "DeviceVendor",
  "DeviceProduct",
  "DeviceVersion",
  "DeviceEventClassID",
  "Name",
  "Severity",
];
const CEF_START = /CEF:[ \t]*|^\s*(?=[0-9.]+\|)/; // a relay may have eaten the `CEF:`
const CEF_KEY = /(?<=^|[ \t])([A-Za-z0-9_.-]+(?:\[\d+\][A-Za-z0-9_.-]*)*)=/g;
const LABEL = "Label";

// A text, a sign or a bare word, with the blanks before it.
const JSON_TOKEN = /\s*(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([{}[\]:,])|([^\s{}[\]:,"]+))/sy;

/**
 * Find the fields of a message.
 *
 * @param {string} text
 * @returns {Place[]} a field may stand within another; later ones of a name count
 */
export function locate(text) {
  const json = text.indexOf("{");
  const isJson = json >= 0 && text.slice(0, json).trim().length <= 8; // as an octet count or a mark
  return isJson ? jsonPlaces(text, json) : cefPlaces(text);
}

// CEF.

function cefPlaces(text) {
  const found = CEF_START.exec(text);
  if (!found) {
    return [];
  }
  const places = [];
  let start = found.index + found[0].length;
  for (const name of HEADER) {
    const end = pipeFrom(text, start);
    places.push({ name, start, end });
    start = end + 1;
  }
  return [...places, ...extensions(text, start)];
}

/** Return where the next pipe stands that is not escaped; the end if there is none. */
function pipeFrom(text, start) {
  for (let at = start; at < text.length; at += 1) {
    if (text[at] === "\\") {
      at += 1;
    } else if (text[at] === "|") {
      return at;
    }
  }
  return text.length;
}

function extensions(text, start) {
  const keys = [...text.slice(start).matchAll(CEF_KEY)].slice(0, MAX_PLACES);
  const pairs = keys.map((match, index) => {
    const next = keys[index + 1];
    const end = next ? next.index : text.length - start;
    const value = text.slice(start + match.index + match[0].length, start + end).trimEnd();
    const from = start + match.index;
    return { key: match[1], value, start: from, end: from + match[0].length + value.length };
  });
  const values = new Map(pairs.map(({ key, value }) => [key, value]));
  return pairs.map((pair) => ({ name: nameOf(pair.key, values), start: pair.start, end: pair.end }));
}

/** Name a value by its label: `cs1=42` with `cs1Label=MalopId` is `MalopId`, and so is its label. */
function nameOf(key, values) {
  if (key.endsWith(LABEL) && values.has(key.slice(0, -LABEL.length))) {
    return values.get(key);
  }
  return values.get(key + LABEL) || key;
}

// JSON.

function jsonPlaces(text, start) {
  const places = [];
  const open = [];
  JSON_TOKEN.lastIndex = start;
  for (let match; (match = JSON_TOKEN.exec(text)) && places.length < MAX_PLACES; ) {
    const end = JSON_TOKEN.lastIndex;
    const [whole, quoted, sign, word] = match;
    const top = open.at(-1);
    const from = end - whole.trimStart().length;
    if (sign === "{" || sign === "[") {
      if (open.length >= MAX_DEPTH) {
        break;
      }
      open.push({ sign, path: pathIn(top), start: top?.keyStart ?? from, key: null, index: 0 });
    } else if (sign === "}" || sign === "]") {
      open.pop();
      if (!open.length) {
        break;
      }
      places.push({ name: top.path, start: top.start, end });
      close(open.at(-1));
    } else if (sign === ",") {
      top.index += 1;
    } else if (quoted !== undefined && top?.sign === "{" && top.key === null) {
      top.key = unescaped(quoted);
      top.keyStart = from;
    } else if (quoted !== undefined || word !== undefined) {
      places.push({ name: pathIn(top), start: top.keyStart ?? from, end });
      close(top);
    }
  }
  return places;
}

/** Return the path of the value that comes next in an object or list. */
function pathIn(top) {
  if (!top) {
    return "";
  }
  if (top.sign === "[") {
    return `${top.path}[${top.index}]`;
  }
  return top.path ? `${top.path}.${top.key}` : top.key;
}

function close(top) {
  top.key = null;
  top.keyStart = undefined;
}

function unescaped(quoted) {
  try {
    return JSON.parse(`"${quoted}"`);
  } catch {
    return quoted; // as with control characters, which a parser repairs
  }
}

// Text in pieces.

/**
 * Cut a text where places begin and end.
 *
 * @param {string} text
 * @param {Place[]} places
 * @returns {{text: string, names: string[]}[]} each piece with what it is in, the innermost last
 */
export function pieces(text, places) {
  const sorted = [...places].sort((one, other) => one.start - other.start || other.end - one.end);
  const cuts = new Set([0, text.length]);
  for (const { start, end } of sorted) {
    cuts.add(Math.min(start, text.length)).add(Math.min(end, text.length));
  }
  const ordered = [...cuts].sort((one, other) => one - other);
  const found = [];
  let around = [];
  let next = 0;
  for (let i = 0; i + 1 < ordered.length; i += 1) {
    const start = ordered[i];
    around = around.filter(({ end }) => end > start);
    for (; next < sorted.length && sorted[next].start <= start; next += 1) {
      if (sorted[next].end > start) {
        around.push(sorted[next]);
      }
    }
    found.push({ text: text.slice(start, ordered[i + 1]), names: around.map(({ name }) => name) });
  }
  return found;
}
