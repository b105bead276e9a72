// What stands around every view: title, places to go, how the service and the connection are.

import { counted, shown } from "../format.js";
import { html } from "../html.js";
import { taskHref } from "../router.js";
import { useStore } from "../store.js";
import { useEffect, useRef } from "../vendor/preact-hooks.js";

/** @type {Record<string, string>} */
const VIEWS = { now: "Overview", sessions: "Sessions", task: "Task", unknown: "No such view" };

/**
 * @param {{route?: import("../router.js").Route, logout?: (() => void) | null, bare?: boolean, children: any}} props
 */
export function Frame({ route, logout, bare, children }) {
  const main = useRef(/** @type {HTMLElement | null} */ (null));
  const place = route ? `${route.view}${route.view === "task" ? route.id : ""}` : "";
  useArrival(place, main);
  useTitle(route ? VIEWS[route.view] : "");
  return html`
    <a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => skip(event, main.current)}>To the content</a>
    <header>
      <p class="name">captcha-bypass <${Version} /></p>
      ${bare
        ? null
        : html`<nav aria-label="Views">
            <a href="#/" aria-current=${route?.view === "now" ? "page" : undefined}>Overview</a>
            <a href="#/sessions" aria-current=${route?.view === "sessions" ? "page" : undefined}>Sessions</a>
          </nav>`}
      <${Connection} />
      ${logout && html`<button type="button" class="plain" onClick=${logout}>Log out</button>`}
    </header>
    <main id="main" ref=${main} tabindex="-1">${bare ? null : html`<${Waiting} here=${route?.view === "task" ? route.id : ""} />`}${children}</main>
    <${Said} />
  `;
}

/** The address is the view's: a link to "#main" would leave it. @param {Event} event @param {HTMLElement | null} main */
function skip(event, main) {
  event.preventDefault();
  main?.focus();
}

/** Another view begins at its heading, for who listens to it. @param {string} place @param {{current: HTMLElement | null}} main */
function useArrival(place, main) {
  const last = useRef(place);
  useEffect(() => {
    if (last.current === place || !place) return;
    last.current = place;
    window.scrollTo(0, 0);
    main.current?.querySelector("h1")?.focus();
  }, [place]);
}

/** @param {string} view */
function useTitle(view) {
  const waiting = useStore((state) => state.status?.tasks.waiting_for_human ?? 0);
  useEffect(() => {
    document.title = `${waiting ? `(${waiting}) ` : ""}${view ? `${view} · ` : ""}captcha-bypass`;
  }, [waiting, view]);
}

function Version() {
  const version = useStore((state) => state.session?.version ?? "");
  return html`<small>${shown(version, 40)}</small>`;
}

/** @type {Record<string, string>} */
const CONNECTIONS = { connecting: "Connecting…", live: "Live", lost: "Connection lost", paused: "Paused" };

function Connection() {
  const connection = useStore((state) => state.connection);
  const retrying = connection === "lost" ? html`<span>, trying again. What is shown may be old.</span>` : null;
  return html`<p class=${`connection ${connection}`}>${CONNECTIONS[connection]}${retrying}</p>`;
}

/** What waits for a person is told first, on every view but its own. @param {{here: string}} props */
function Waiting({ here }) {
  const tasks = useStore((state) => state.tasks);
  const waiting = (tasks ?? []).filter((task) => task.state === "waiting_for_human" && task.id !== here);
  const count = waiting.length;
  return html`<section class="waiting" aria-label="Waiting for a person" hidden=${count === 0}>
    <p role="status">${count ? `${counted(count, "task")} wait${count === 1 ? "s" : ""} for a person` : null}</p>
    <ul>
      ${waiting.slice(0, 20).map(
        (task) => html`<li key=${task.id}>
          <a href=${taskHref(task.id)}><bdi>${shown(task.host, 100)}</bdi></a>${" "}<small>${shown(task.vendor, 40)}</small>
        </li>`,
      )}
    </ul>
  </section>`;
}

function Said() {
  const said = useStore((state) => state.said);
  return html`<p class="unseen" role="status">${said}</p>`;
}
