// The overview: how the service stands, its browsers and what the guard refused, charts, and the last tasks.

import { bytes, duration, shown } from "../format.js";
import { html } from "../html.js";
import { useStore } from "../store.js";
import { Charts } from "./charts.js";
import { Counts, Figure } from "./parts.js";
import { Tasks } from "./tasks.js";

/** @param {{host: string, outcome: string}} props */
export function NowView({ host, outcome }) {
  return html`<h1 tabindex="-1" class="unseen">Overview</h1>
    <${Now} />
    <${Charts} />
    <${Tasks} host=${host} outcome=${outcome} />`;
}

/** @type {Record<string, [string, string]>} */
const STATES = {
  ok: ["Ready", "good"],
  starting: ["Starting", "warn"],
  unavailable: ["Not ready", "bad"],
  stopping: ["Stopping", "warn"],
};

function Now() {
  const status = useStore((state) => state.status);
  if (!status) return html`<section aria-label="Now"><p>Waiting for the first figures…</p></section>`;
  const { tasks, browsers } = status;
  const [state, tone] = STATES[status.state] ?? [status.state, "warn"];
  const memory = browsers.reduce((sum, browser) => sum + browser.bytes, 0);
  return html`<section aria-labelledby="now-title">
    <h2 id="now-title">Now</h2>
    <dl class="figures">
      <${Figure} title="Service" value=${state} tone=${tone} note=${shown(status.browser, 60)} />
      <${Figure} title="Running" value=${`${tasks.running} of ${tasks.slots}`} note="workers" />
      <${Figure} title="Queue" value=${tasks.queued} note=${tasks.oldest ? `oldest ${duration(tasks.oldest)}` : null} />
      <${Figure} title="Waiting for a person" value=${tasks.waiting_for_human}
        tone=${tasks.waiting_for_human ? "ask" : ""} />
      <${Figure} title="Browsers" value=${browsers.length} note=${memory ? bytes(memory) : null} />
      <${Figure} title="Fetches" value=${status.fetches} note="running" />
    </dl>
    <div role="status">
      ${status.reason && html`<p class="notice bad">${shown(status.reason, 500)}</p>`}
      ${status.warning && html`<p class="notice warn">${shown(status.warning, 500)}</p>`}
    </div>
    <div class="columns">
      <${Browsers} status=${status} />
      <${Refusals} egress=${status.egress} />
    </div>
    ${status.nodes.length > 0 && html`<${Nodes} nodes=${status.nodes} />`}
  </section>`;
}

/** @param {{status: import("../types.js").Status}} props */
function Browsers({ status }) {
  const starting = status.starting ? html`<p class="quiet">${status.starting} starting</p>` : null;
  return html`<section aria-labelledby="browsers-title">
    <h3 id="browsers-title">Browsers</h3>
    ${status.browsers.length
      ? html`<table class="cards dense" role="table" aria-labelledby="browsers-title">
          <thead role="rowgroup">
            <tr role="row">
              ${["Browser", "Age", "Tasks now", "Tasks so far", "Memory", "Sessions"].map(
                (title) => html`<th role="columnheader" scope="col" key=${title}>${title}</th>`,
              )}
            </tr>
          </thead>
          <tbody role="rowgroup">
            ${status.browsers.map(
              (browser, index) => html`<tr role="row" key=${index}>
                <th role="rowheader" scope="row" data-label="Browser">${index + 1}</th>
                <td role="cell" data-label="Age">${duration(browser.age)}</td>
                <td role="cell" data-label="Tasks now">${browser.tasks}</td>
                <td role="cell" data-label="Tasks so far">${browser.served}</td>
                <td role="cell" data-label="Memory">${bytes(browser.bytes)}</td>
                <td role="cell" data-label="Sessions">${browser.sessions}</td>
              </tr>`,
            )}
          </tbody>
        </table>`
      : html`<p class="quiet">None runs; one is started with the next task.</p>`}
    ${starting}
    <h4>Replaced, by cause</h4>
    <${Counts} counts=${status.restarts} none="None yet." />
  </section>`;
}

/** Those that share the queue: the figures above are of all of them, browsers and tasks of this one. @param {{nodes: import("../types.js").Node[]}} props */
function Nodes({ nodes }) {
  return html`<section aria-labelledby="nodes-title">
    <h3 id="nodes-title">Nodes that share the queue</h3>
    <table class="cards dense" role="table" aria-labelledby="nodes-title">
      <thead role="rowgroup">
        <tr role="row">
          ${["Node", "Running", "Workers", "Waiting for a person"].map(
            (title) => html`<th role="columnheader" scope="col" key=${title}>${title}</th>`,
          )}
        </tr>
      </thead>
      <tbody role="rowgroup">
        ${nodes.map(
          (node, index) => html`<tr role="row" key=${index}>
            <th role="rowheader" scope="row" data-label="Node">${shown(node.name, 100)}</th>
            <td role="cell" data-label="Running">${node.running}</td>
            <td role="cell" data-label="Workers">${node.slots}</td>
            <td role="cell" data-label="Waiting for a person">${node.waiting_for_human}</td>
          </tr>`,
        )}
      </tbody>
    </table>
  </section>`;
}

/** @param {{egress: import("../types.js").Status["egress"]}} props */
function Refusals({ egress }) {
  return html`<section aria-labelledby="egress-title">
    <h3 id="egress-title">Network of the pages</h3>
    <p class="quiet">
      ${egress.connections} connections, ${bytes(egress.bytes_received)} received, ${bytes(egress.bytes_sent)} sent
    </p>
    <h4>Hosts that were refused or not reached</h4>
    <${Counts} counts=${egress.failures} none="None." />
  </section>`;
}
