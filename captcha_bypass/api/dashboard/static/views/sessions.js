// Sessions of the API's users, which can be ended, and those that the service keeps for sites.

import * as api from "../api.js";
import { duration, shown } from "../format.js";
import { html } from "../html.js";
import { store, useStore } from "../store.js";
import { Careful } from "./parts.js";

export function SessionsView() {
  const status = useStore((state) => state.status);
  return html`<h1 tabindex="-1">Sessions</h1>
    ${status ? html`<${Named} sessions=${status.sessions} /><${Sites} sites=${status.sites} />` : html`<p>Waiting…</p>`}`;
}

/** @param {string} name */
async function end(name) {
  await api.endSession(name);
  store.say(`Session ${shown(name, 100)} is deleted.`);
}

/** @param {{sessions: {name: string, idle: number | null}[]}} props */
function Named({ sessions }) {
  return html`<section aria-labelledby="named-title">
    <h2 id="named-title">Named by tasks</h2>
    ${sessions.length
      ? html`<${Table} head=${["Session", "Idle", "Delete"]}>
          ${sessions.map(
            ({ name, idle }) => html`<tr role="row" key=${name}>
              <th role="rowheader" scope="row" data-label="Session"><bdi>${shown(name, 200)}</bdi></th>
              <td role="cell" data-label="Idle">${idle === null ? "in use" : duration(idle)}</td>
              <td role="cell" data-label="Delete">
                <${Careful} label="Delete" name=${`Delete session ${shown(name, 200)}`} question="Its cookies and storage go."
                  yes="Delete" act=${() => end(name)} />
              </td>
            </tr>`,
          )}
        <//>`
      : html`<p class="quiet">None. A task with "session" makes one.</p>`}
  </section>`;
}

/** @param {{sites: {site: string, idle: number | null}[]}} props */
function Sites({ sites }) {
  return html`<section aria-labelledby="sites-title">
    <h2 id="sites-title">Kept for sites</h2>
    ${sites.length
      ? html`<${Table} head=${["Site", "Idle"]}>
          ${sites.map(
            ({ site, idle }) => html`<tr role="row" key=${site}>
              <th role="rowheader" scope="row" data-label="Site"><bdi>${shown(site, 300)}</bdi></th>
              <td role="cell" data-label="Idle">${idle === null ? "in use" : duration(idle)}</td>
            </tr>`,
          )}
        <//>`
      : html`<p class="quiet">None. POST /fetch makes one for each site.</p>`}
  </section>`;
}

/** @param {{head: string[], children: any}} props */
function Table({ head, children }) {
  return html`<table class="cards" role="table">
    <thead role="rowgroup">
      <tr role="row">${head.map((title) => html`<th role="columnheader" scope="col" key=${title}>${title}</th>`)}</tr>
    </thead>
    <tbody role="rowgroup">${children}</tbody>
  </table>`;
}
