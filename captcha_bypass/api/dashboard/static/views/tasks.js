// The last tasks, newest first. Only rows whose task changed are drawn again.

import * as api from "../api.js";
import { counted, duration, shown, standing } from "../format.js";
import { html } from "../html.js";
import { setFilter, taskHref } from "../router.js";
import { useNow, useStore } from "../store.js";
import { useEffect, useMemo, useState } from "../vendor/preact-hooks.js";
import { Component } from "../vendor/preact.js";
import { Standing, When } from "./parts.js";

/** @typedef {import("../types.js").Task} Task */

/** Rows that are shown at first, and more at each wish. */
const STEP = 100;
const HEAD = ["Came", "Host", "Outcome", "Vendor", "Why", "Took", "Page"];

/** @param {{host: string, outcome: string}} props */
export function Tasks({ host, outcome }) {
  const tasks = useStore((state) => state.tasks);
  const [most, setMost] = useState(STEP);
  useEffect(() => setMost(STEP), [host, outcome]);
  const found = useMemo(() => filtered(tasks ?? [], host, outcome), [tasks, host, outcome]);
  const left = found.length - most;
  return html`<section aria-labelledby="tasks-title">
    <h2 id="tasks-title">Last tasks</h2>
    <${Filter} tasks=${tasks ?? []} host=${host} outcome=${outcome} found=${found.length} />
    ${found.length > 0 &&
    html`<table class="tasks cards" role="table" aria-labelledby="tasks-title">
      <thead role="rowgroup">
        <tr role="row">${HEAD.map((title) => html`<th role="columnheader" scope="col" key=${title}>${title}</th>`)}</tr>
      </thead>
      <tbody role="rowgroup">${found.slice(0, most).map((task) => html`<${Row} key=${task.id} task=${task} />`)}</tbody>
    </table>`}
    ${left > 0 &&
    html`<button type="button" onClick=${() => setMost(most + STEP)}>Show ${Math.min(STEP, left)} more of ${left}</button>`}
  </section>`;
}

/** @param {Task[]} tasks @param {string} host @param {string} outcome @returns {Task[]} */
function filtered(tasks, host, outcome) {
  const part = host.trim().toLowerCase();
  return tasks.filter((task) => (!part || task.host.toLowerCase().includes(part)) && fits(task, outcome));
}

/** @param {Task} task @param {string} outcome */
function fits(task, outcome) {
  if (!outcome) return true;
  if (outcome === "open") return task.outcome === null;
  if (outcome === "failed") return task.state === "error";
  return task.outcome === outcome || (task.outcome === null && task.state === outcome);
}

/** @param {{tasks: Task[], host: string, outcome: string, found: number}} props */
function Filter({ tasks, host, outcome, found }) {
  const outcomes = useMemo(() => {
    const seen = new Set(tasks.map((task) => task.outcome).filter((name) => name !== null));
    if (outcome && !["open", "failed"].includes(outcome)) seen.add(outcome);
    return [...seen].sort();
  }, [tasks, outcome]);
  const of = host || outcome ? ` of ${tasks.length}` : "";
  return html`<form class="filter" role="search" aria-label="Tasks" onSubmit=${(/** @type {Event} */ e) => e.preventDefault()}>
    <label>Host <input type="search" value=${host} maxlength="253" placeholder="part of its name"
      onInput=${(/** @type {any} */ e) => setFilter(e.target.value, outcome)} /></label>
    <label>Outcome <select value=${outcome} onChange=${(/** @type {any} */ e) => setFilter(host, e.target.value)}>
      <option value="">any</option>
      <option value="open">not ended yet</option>
      <option value="failed">failed, for any reason</option>
      ${outcomes.map((name) => html`<option key=${name} value=${name}>${shown(standing({ state: "", outcome: name }), 60)}</option>`)}
    </select></label>
    <p>${tasks.length ? `${counted(found, "task")}${of}` : "No task yet."}</p>
  </form>`;
}

/** @extends {Component<{task: Task}>} */
class Row extends Component {
  /** @param {{task: Task}} next */
  shouldComponentUpdate(next) {
    return next.task !== this.props.task;
  }

  render() {
    const { task } = this.props;
    return html`<tr role="row" data-id=${task.id}>
      <td role="cell" data-label="Came"><${When} at=${task.came_at} /></td>
      <th role="rowheader" scope="row" data-label="Host">
        <a href=${taskHref(task.id)}><bdi>${shown(task.host, 253)}</bdi></a>
      </th>
      <td role="cell" data-label="Outcome"><${Standing} task=${task} /></td>
      <td role="cell" data-label="Vendor">${task.vendor ? `${shown(task.vendor, 40)}${task.kind ? `, ${shown(task.kind, 20)}` : ""}` : null}</td>
      <td role="cell" data-label="Why" >${task.why ? html`<bdi>${shown(task.why, 300)}</bdi>` : null}</td>
      <td role="cell" data-label="Took"><${Took} task=${task} /></td>
      <td role="cell" data-label="Page">${task.evidence ? html`<${Thumbnail} task=${task} />` : null}</td>
    </tr>`;
  }
}

/** Seconds of a task; of one that runs, as they pass. @param {{task: Task}} props */
function Took({ task }) {
  const running = task.seconds === null && task.started_at !== null && task.outcome === null;
  const now = useNow(running);
  if (!running) return task.seconds === null ? "" : duration(task.seconds);
  return html`<span class="quiet">${duration(Math.floor(Math.max(0, now - Number(task.started_at)) * 10) / 10)}</span>`;
}

/** @param {{task: Task}} props */
function Thumbnail({ task }) {
  return html`<a href=${taskHref(task.id)} aria-label=${`Evidence of ${shown(task.host, 253)}`}>
    <img class="thumbnail" src=${api.evidenceUrl(task.id, "jpeg")} alt="" width="64" height="40" loading="lazy" decoding="async" />
  </a>`;
}

