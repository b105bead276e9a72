// Which view the address asks for: #/, #/sessions, #/task/ID, and the filter of the list: #/?host=…&outcome=…

import { useEffect, useState } from "./vendor/preact-hooks.js";

/**
 * @typedef {{view: "now", host: string, outcome: string} | {view: "sessions"} | {view: "task", id: string}
 *   | {view: "unknown"}} Route
 */

/** @param {string} hash @returns {Route} */
export function routeOf(hash) {
  const [path, query] = hash.replace(/^#/, "").split("?", 2);
  if (path === "" || path === "/") {
    const asked = new URLSearchParams(query);
    return { view: "now", host: asked.get("host") ?? "", outcome: asked.get("outcome") ?? "" };
  }
  if (path === "/sessions") return { view: "sessions" };
  const id = /^\/task\/([\w-]{1,100})$/.exec(path)?.[1];
  return id ? { view: "task", id } : { view: "unknown" };
}

/** @param {string} id */
export const taskHref = (id) => `#/task/${id}`;

/** Writes the filter into the address, without a new entry of the history. @param {string} host @param {string} outcome */
export function setFilter(host, outcome) {
  const asked = new URLSearchParams();
  if (host) asked.set("host", host);
  if (outcome) asked.set("outcome", outcome);
  const query = asked.toString();
  history.replaceState(null, "", query ? `#/?${query}` : "#/");
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}

/** @returns {Route} */
export function useRoute() {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const follow = () => setHash(location.hash);
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, []);
  return routeOf(hash);
}
