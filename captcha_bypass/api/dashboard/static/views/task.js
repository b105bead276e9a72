// One task: what was asked, what the site sent, how it ended, and what can be done about it.

import * as api from "../api.js";
import { duration, shown } from "../format.js";
import { html } from "../html.js";
import { store, useStore } from "../store.js";
import { useEffect, useState } from "../vendor/preact-hooks.js";
import { Evidence } from "./evidence.js";
import { Live } from "./live.js";
import { Careful, Counts, Figure, Standing, When } from "./parts.js";

/** @typedef {import("../types.js").TaskPage} TaskPage */

/** @param {{id: string}} props */
export function TaskView({ id }) {
  const { task, error } = useTask(id);
  // One heading before and after: who was taken to it stays there.
  return html`<article class="task">
    <h1 tabindex="-1">${task ? html`<bdi>${shown(task.host, 253)}</bdi> <${Standing} task=${task} />` : "Task"}</h1>
    ${task ? html`<${Known} id=${id} task=${task} error=${error} />` : html`<${Unknown} error=${error} />`}
  </article>`;
}

/** @param {{error: string}} props */
function Unknown({ error }) {
  return html`<p role="status">${error || "Loading…"}</p>
    <p><a href="#/">To the overview</a></p>`;
}

/** @param {{id: string, task: TaskPage, error: string}} props */
function Known({ id, task, error }) {
  return html`<p class="quiet">Task <code>${shown(task.id, 100)}</code></p>
    ${error && html`<p class="notice warn" role="status">${error}</p>`}
    <${Actions} task=${task} />
    <${Live} id=${id} waiting=${task.state === "waiting_for_human"} outcome=${task.outcome} />
    <${Outcome} task=${task} />
    <div class="columns">
      <${Asked} asked=${task.asked ?? {}} />
      <${Reasons} task=${task} />
    </div>
    <${Documents} documents=${task.documents ?? []} />
    ${task.evidence && html`<${Evidence} id=${id} size=${task.evidence} />`}`;
}

/** Reads the task, and reads it again when the list says that it changed. @param {string} id */
function useTask(id) {
  const entry = useStore(() => store.byId.get(id));
  const connected = useStore((state) => state.connection === "live");
  const [task, setTask] = useState(/** @type {TaskPage | null} */ (null));
  const [error, setError] = useState("");
  useEffect(() => {
    const ended = new AbortController();
    api
      .task(id, ended.signal)
      .then((read) => {
        setTask(read);
        setError("");
      })
      .catch((refused) => {
        if (ended.signal.aborted) return;
        const gone = refused instanceof api.ApiError && refused.status === 404;
        if (gone) setTask(null);
        setError(gone ? "There is no such task any more: it was deleted, or its time was up." : refused.message);
      });
    return () => ended.abort();
  }, [id, entry, connected]);
  return { task, error };
}

/** What is shown afterwards comes with the next event. @param {{task: TaskPage}} props */
function Actions({ task }) {
  const host = shown(task.host, 100);
  async function remove() {
    const what = task.outcome === null ? "task" : "result";
    await api.deleteTask(task.id);
    store.say(what === "task" ? `The task of ${host} is cancelled.` : `The result of ${host} is deleted.`);
  }
  if (!task.kept) return html`<p class="quiet">Its result is not there any more.</p>`;
  return html`<p class="actions">
    ${task.outcome === null
      ? html`<${Careful} key="cancel" label="Cancel task" question="Its page is closed." yes="Cancel it" act=${remove} />`
      : html`<${Careful} key="delete" label="Delete result" question="The evidence goes, too." yes="Delete it" act=${remove} />`}
  </p>`;
}

/** @param {{task: TaskPage}} props */
function Outcome({ task }) {
  const waited = task.started_at !== null && task.came_at !== null ? task.started_at - task.came_at : null;
  return html`<section aria-labelledby="outcome-title">
    <h2 id="outcome-title">How it went</h2>
    ${task.error && html`<p class="notice bad"><b>${shown(task.error.code, 60)}</b>: <bdi>${shown(task.error.message)}</bdi></p>`}
    ${task.why && !task.error && html`<p class="notice"><bdi>${shown(task.why)}</bdi></p>`}
    <dl class="figures">
      <${Figure} title="Came" value=${html`<${When} at=${task.came_at} />`} />
      <${Figure} title="Queued" value=${duration(waited)} />
      <${Figure} title="Took" value=${duration(task.seconds)} />
      <${Figure} title="HTTP status" value=${task.status_code ?? "–"} />
      <${Figure} title="Challenge" value=${task.vendor ? shown(task.vendor, 40) : "none"} note=${shown(task.kind, 20)} />
    </dl>
    ${(task.url || task.title) &&
    html`<dl class="facts">
      ${task.url && html`<div><dt>Ended at</dt><dd><bdi class="url">${shown(task.url)}</bdi></dd></div>`}
      ${task.title && html`<div><dt>Title</dt><dd><bdi>${shown(task.title, 500)}</bdi></dd></div>`}
    </dl>`}
  </section>`;
}

/** @type {Record<string, string>} */
const ASKED = {
  url: "URL",
  success_text: "Text to wait for",
  success_selector: "Selector to wait for",
  no_challenge: "Until no challenge",
  timeout: "Timeout",
  session: "Session",
  block: "Block",
  on_challenge: "On a challenge",
  proxy: "Proxy",
  cookies: "Cookies (names)",
  headers: "Headers (names)",
};

/** @param {{asked: Record<string, unknown>}} props */
function Asked({ asked }) {
  const given = Object.entries(asked).filter(
    ([, value]) => value !== null && value !== undefined && value !== false && !(Array.isArray(value) && !value.length),
  );
  return html`<section aria-labelledby="asked-title">
    <h2 id="asked-title">What was asked</h2>
    <dl class="facts">
      ${given.map(
        ([name, value]) => html`<div key=${name}>
          <dt>${ASKED[name] ?? shown(name, 60)}</dt>
          <dd class=${name === "url" ? "url" : ""}><bdi>${written(name, value)}</bdi></dd>
        </div>`,
      )}
    </dl>
  </section>`;
}

/** @param {string} name @param {unknown} value */
function written(name, value) {
  if (name === "timeout" && typeof value === "number") return duration(value);
  if (value === true) return "yes";
  if (Array.isArray(value)) return shown(value.map(String).join(", "));
  return shown(typeof value === "object" ? JSON.stringify(value) : value);
}

/** @param {{task: TaskPage}} props */
function Reasons({ task }) {
  const unmet = task.unmet ?? [];
  const hints = task.hints ?? [];
  return html`<section aria-labelledby="reasons-title">
    <h2 id="reasons-title">Why</h2>
    <h3>Conditions that did not hold</h3>
    ${unmet.length
      ? html`<ul>${unmet.map((name) => html`<li key=${name}><code>${shown(name, 60)}</code></li>`)}</ul>`
      : html`<p class="quiet">${task.outcome === null ? "Not known yet." : "None."}</p>`}
    <h3>Hints</h3>
    ${hints.length
      ? html`<ul>${hints.map(
          (hint, i) => html`<li key=${i}>
            <bdi>${shown(hint.message, 500)}</bdi> <code>${shown(hint.code, 60)}</code>
            ${hint.value && html` <q><bdi>${shown([hint.value].flat().join(", "), 200)}</bdi></q>`}
          </li>`,
        )}</ul>`
      : html`<p class="quiet">None.</p>`}
    <h3>Requests of the page that failed</h3>
    <${Counts} counts=${task.failed_requests ?? {}} none="None." />
  </section>`;
}

/** @param {{documents: import("../types.js").PageDocument[]}} props */
function Documents({ documents }) {
  return html`<section aria-labelledby="documents-title">
    <h2 id="documents-title">Documents</h2>
    ${documents.length
      ? html`<table class="cards documents" role="table" aria-labelledby="documents-title">
          <thead role="rowgroup">
            <tr role="row">
              ${["After", "Status", "URL", "Challenge"].map((t) => html`<th role="columnheader" scope="col" key=${t}>${t}</th>`)}
            </tr>
          </thead>
          <tbody role="rowgroup">
            ${documents.map(
              (document, i) => html`<tr role="row" key=${i}>
                <td role="cell" data-label="After">${duration(document.at)}</td>
                <td role="cell" data-label="Status">${document.status ?? "–"}</td>
                <td role="cell" data-label="URL" class="url"><bdi>${shown(document.url)}</bdi></td>
                <td role="cell" data-label="Challenge">
                  ${document.vendor ? `${shown(document.vendor, 40)}${document.kind ? `, ${shown(document.kind, 20)}` : ""}` : "none"}
                </td>
              </tr>`,
            )}
          </tbody>
        </table>`
      : html`<p class="quiet">None came yet.</p>`}
  </section>`;
}
