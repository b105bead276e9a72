// Requests to the service. Where it is follows from where this file is: a reverse proxy may add a prefix.

const DASHBOARD = new URL("../", import.meta.url);
const SERVICE = new URL("../", DASHBOARD);

/** What the service refused, or that it cannot be reached (status 0). */
export class ApiError extends Error {
  /** @param {number} status @param {string} code @param {string} message */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * @param {string} method
 * @param {URL} url
 * @param {{body?: unknown, signal?: AbortSignal}} [options]
 * @returns {Promise<Response>}
 */
async function send(method, url, { body, signal } = {}) {
  /** @type {RequestInit} */
  const init = { method, credentials: "same-origin", cache: "no-store" };
  init.signal = signal ? AbortSignal.any([signal, AbortSignal.timeout(15000)]) : AbortSignal.timeout(15000);
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  let response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", "The service does not answer.");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

/** @param {Response} response */
async function refusal(response) {
  try {
    const { error } = await response.json();
    return new ApiError(response.status, String(error.code), String(error.message));
  } catch {
    return new ApiError(response.status, "http", `The service answers HTTP ${response.status}.`);
  }
}

/** @param {string} path */
const dashboard = (path) => new URL(path, DASHBOARD);

/** @param {string} id */
const taskUrl = (id) => new URL(`task/${encodeURIComponent(id)}`, SERVICE);

/** @returns {Promise<import("./types.js").Session>} */
export const session = async () => (await send("GET", dashboard("api/session"))).json();

/** @param {string} key */
export const login = (key) => send("POST", dashboard("login"), { body: { key } });

export const logout = () => send("POST", dashboard("logout"), { body: {} });

/** @param {string} id @param {AbortSignal} [signal] @returns {Promise<import("./types.js").TaskPage>} */
export const task = async (id, signal) =>
  (await send("GET", dashboard(`api/tasks/${encodeURIComponent(id)}`), { signal })).json();

/** Cancels a task, or deletes its result. @param {string} id */
export const deleteTask = (id) => send("DELETE", taskUrl(id));

/** @param {string} name */
export const endSession = (name) => send("DELETE", new URL(`sessions/${encodeURIComponent(name)}`, SERVICE));

/** @param {string} id @param {"html" | "jpeg"} part */
export const evidenceUrl = (id, part) => `${taskUrl(id)}/evidence?part=${part}`;

/** Returns the page's HTML as text. @param {string} id @param {AbortSignal} signal */
export const evidenceHtml = async (id, signal) =>
  (await send("GET", new URL(evidenceUrl(id, "html")), { signal })).text();

export const eventsUrl = () => dashboard("api/events").href;

/** @param {string} id */
export function liveUrl(id) {
  const url = dashboard(`api/tasks/${encodeURIComponent(id)}/live`);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}
