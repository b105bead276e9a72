// Two charts of the last hour. The lines are drawn for who sees them; the same figures are there as text.

import { clock, counted, duration, machine } from "../format.js";
import { html } from "../html.js";
import { useStore } from "../store.js";
import { useEffect, useMemo, useRef } from "../vendor/preact-hooks.js";
import uPlot from "../vendor/uplot.js";

/** @typedef {import("../types.js").Minute} Minute */

/** What ends are drawn as: name, colour of style.css. All other outcomes are errors. @type {[string, string][]} */
const ENDS = [["completed", "good"], ["timeout", "warn"], ["cancelled", "quiet"], ["failed", "bad"]];
/** What the seconds are drawn as: name, colour, dashes. @type {[string, string, number[]][]} */
const SECONDS = [["half of them (p50)", "open", []], ["95 of 100 (p95)", "ask", [6, 3]]];
/** Pixels of a chart, as style.css has them, too. */
const HEIGHT = 150;
/** Room for the first and last bar. */
const HALF_A_MINUTE = 30;

/** @param {Minute} minute @param {string} name */
function ended(minute, name) {
  if (name !== "failed") return minute.outcomes[name] ?? 0;
  const known = ["completed", "timeout", "cancelled"];
  return Object.entries(minute.outcomes).reduce((sum, [key, count]) => sum + (known.includes(key) ? 0 : count), 0);
}

export function Charts() {
  const minutes = useStore((state) => state.minutes);
  if (!minutes.length) return null;
  const totals = ENDS.map(([name]) => minutes.reduce((sum, minute) => sum + ended(minute, name), 0));
  const slowest = minutes.reduce((most, minute) => Math.max(most, minute.p95 ?? 0), 0);
  return html`<section aria-labelledby="charts-title">
    <h2 id="charts-title">Last hour</h2>
    <div class="columns">
      <figure aria-labelledby="ends-title">
        <figcaption id="ends-title">Tasks that ended, per minute</figcaption>
        <p class="legend">
          ${ENDS.map(([name, colour], i) => html`<span key=${name} class=${`key ${colour}`}>${name} ${totals[i]}</span> `)}
        </p>
        <${Chart} minutes=${minutes} kind="ends" />
      </figure>
      <figure aria-labelledby="seconds-title">
        <figcaption id="seconds-title">Seconds a task took</figcaption>
        <p class="legend">
          ${SECONDS.map(([name, colour, dash]) => html`<span key=${name} class=${`key ${colour} ${dash.length ? "dashed" : "line"}`}>${name}</span> `)}
          ${slowest > 0 && html` <span>slowest minute ${duration(slowest)}</span>`}
        </p>
        <${Chart} minutes=${minutes} kind="seconds" />
      </figure>
    </div>
    <${Table} minutes=${minutes} />
  </section>`;
}

/** @param {{minutes: Minute[]}} props */
function Table({ minutes }) {
  const busy = minutes.filter((minute) => Object.keys(minute.outcomes).length);
  return html`<details class="figures-table">
    <summary>As a table (${counted(busy.length, "minute")} with tasks)</summary>
    <table>
      <thead>
        <tr>
          <th scope="col">Minute</th>
          ${ENDS.map(([name]) => html`<th scope="col" key=${name}>${name}</th>`)}
          <th scope="col">p50</th><th scope="col">p95</th>
        </tr>
      </thead>
      <tbody>
        ${busy.map(
          (minute) => html`<tr key=${minute.at}>
            <th scope="row"><time datetime=${machine(minute.at)}>${clock(minute.at).slice(0, 5)}</time></th>
            ${ENDS.map(([name]) => html`<td key=${name}>${ended(minute, name)}</td>`)}
            <td>${duration(minute.p50)}</td><td>${duration(minute.p95)}</td>
          </tr>`,
        )}
      </tbody>
    </table>
  </details>`;
}

/** @param {Minute[]} minutes @param {"ends" | "seconds"} kind @returns {any} columns of uPlot */
function columns(minutes, kind) {
  const at = minutes.map((minute) => minute.at);
  if (kind === "seconds") return [at, minutes.map((m) => m.p50), minutes.map((m) => m.p95)];
  // Stacked: each series is drawn up to its sum with those below, the highest first.
  /** @type {number[][]} */
  const stacked = [];
  for (const [i, [name]] of ENDS.entries()) {
    stacked.push(minutes.map((minute, m) => ended(minute, name) + (stacked[i - 1]?.[m] ?? 0)));
  }
  return [at, ...stacked.reverse()];
}

/** @param {Element} element @param {string} name */
const colourOf = (element, name) => getComputedStyle(element).getPropertyValue(`--${name}`).trim();

/** @param {HTMLElement} target @param {"ends" | "seconds"} kind @param {any} data */
function draw(target, kind, data) {
  const colour = (/** @type {string} */ name) => colourOf(target, name);
  const bars = uPlot.paths.bars?.({ size: [0.7, 24] });
  const series =
    kind === "ends"
      ? [...ENDS].reverse().map(([, name]) => ({ fill: colour(name), stroke: colour(name), width: 0, paths: bars, points: { show: false } }))
      : SECONDS.map(([, name, dash]) => ({ stroke: colour(name), dash, width: 1.5, points: { show: true, size: 4, fill: colour(name) } }));
  const axis = { stroke: colour("faint"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  return new uPlot(
    {
      width: Math.max(target.clientWidth, 100),
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 8, 0, 0],
      scales: {
        x: { range: (_, first, last) => [first - HALF_A_MINUTE, last + HALF_A_MINUTE] },
        y: { range: (_, __, most) => [0, kind === "ends" ? Math.max(most, 4) : Math.max(most * 1.1, 1)] },
      },
      axes: [
        { ...axis, size: 24, space: 60, values: (_, splits) => splits.map((at) => clock(at).slice(0, 5)) },
        { ...axis, size: 36, space: 36, incrs: kind === "ends" ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000] : undefined },
      ],
      series: [{}, ...series],
    },
    data,
    target,
  );
}

/** @param {{minutes: Minute[], kind: "ends" | "seconds"}} props */
function Chart({ minutes, kind }) {
  const target = useRef(/** @type {HTMLElement | null} */ (null));
  const plot = useRef(/** @type {uPlot | null} */ (null));
  const data = useMemo(() => columns(minutes, kind), [minutes, kind]);
  const latest = useRef(data);
  latest.current = data;

  useEffect(() => {
    const element = target.current;
    if (!element) return undefined;
    const again = () => {
      plot.current?.destroy();
      plot.current = draw(element, kind, latest.current);
    };
    again();
    const sized = new ResizeObserver(() => plot.current?.setSize({ width: Math.max(element.clientWidth, 100), height: HEIGHT }));
    sized.observe(element);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", again);
    return () => {
      sized.disconnect();
      scheme.removeEventListener("change", again);
      plot.current?.destroy();
      plot.current = null;
    };
  }, [kind]);

  useEffect(() => plot.current?.setData(data), [data]);
  return html`<div class="chart" aria-hidden="true" ref=${target}></div>`;
}
