/** Asks the daemon. */

/** The daemon's answer is no success; `status` is the code. */
export class Refusal extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/**
 * Post JSON.
 *
 * @param {string} path relative to the page
 * @param {object} body
 * @returns {Promise<any>} what the JSON of the answer holds; null if it has none
 */
export async function post(path, body = {}) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  leaveIfSignedOut(response);
  const text = await response.text();
  if (!response.ok) {
    throw new Refusal(response.status, text.trim() || `HTTP ${response.status}`);
  }
  return response.headers.get("Content-Type")?.startsWith("application/json") ? JSON.parse(text) : null;
}

/**
 * Ask for JSON.
 *
 * @param {string} path relative to the page
 * @returns {Promise<{body: any, headers: Headers}>}
 */
export async function get(path) {
  const response = await fetch(path);
  leaveIfSignedOut(response);
  if (!response.ok) {
    throw new Refusal(response.status, (await response.text()).trim() || `HTTP ${response.status}`);
  }
  return { body: await response.json(), headers: response.headers };
}

/** End the session, and go to where one begins. */
export async function signOut() {
  await fetch("logout", { method: "POST", redirect: "manual" });
  location.assign("./");
}

/** Ask whether the daemon is there and knows us; an event stream does not say why it was refused. */
export async function probe() {
  leaveIfSignedOut(await fetch("api/status", { method: "HEAD" }));
}

/** Go to the sign-in page, which is what `/` shows to whom the daemon does not know. */
function leaveIfSignedOut(response) {
  if (response.status === 401) {
    location.assign("./");
    throw new Refusal(401, "signed out");
  }
}
