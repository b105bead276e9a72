// Small things that several views are made of.

import * as api from "../api.js";
import { machine, moment, shown, clock, standing, tone } from "../format.js";
import { html } from "../html.js";
import { useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact-hooks.js";

/** How a task stands, as text with a colour. @param {{task: {state: string, outcome: string | null}}} props */
export function Standing({ task }) {
  return html`<span class=${`standing ${tone(task)}`}>${shown(standing(task), 60)}</span>`;
}

/** A moment: the time of day, the whole on a closer look. @param {{at: number | null}} props */
export function When({ at }) {
  if (at === null || at === undefined) return "–";
  return html`<time datetime=${machine(at)} title=${moment(at)}>${clock(at)}</time>`;
}

/** @param {{title: string, value: any, note?: any, tone?: string}} props */
export function Figure({ title, value, note, tone: colour }) {
  return html`<div class=${`figure ${colour ?? ""}`}>
    <dt>${title}</dt>
    <dd>${value}${note ? html` <small>${note}</small>` : null}</dd>
  </div>`;
}

/**
 * A button that asks before it acts: what it does cannot be taken back.
 *
 * @param {{label: string, question: string, yes: string, act: () => Promise<unknown>, name?: string}} props
 *   `name` tells buttons of the same label apart for screen readers.
 */
export function Careful({ label, question, yes, act, name }) {
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const group = useRef(/** @type {HTMLElement | null} */ (null));
  const asked = useRef(false);
  const alive = useRef(true);
  useEffect(() => () => void (alive.current = false), []);
  // Before any further key: an Escape right after the click must find the focus in here.
  useLayoutEffect(() => {
    if (asking || asked.current) group.current?.querySelector("button")?.focus();
    asked.current = asking;
  }, [asking]);

  async function go() {
    if (busy) return;
    setBusy(true);
    setError("");
    try {
      await act();
    } catch (refused) {
      if (!alive.current) return;
      setError(refused instanceof api.ApiError ? refused.message : String(refused));
    }
    if (!alive.current) return;
    setBusy(false);
    setAsking(false);
  }

  /** @param {KeyboardEvent} event */
  const escape = (event) => event.key === "Escape" && setAsking(false);
  const choice = asking
    ? html`<span>${question}</span>
        <button type="button" class="danger" aria-disabled=${busy} onClick=${go}>${yes}</button>
        <button type="button" onClick=${() => setAsking(false)}>No</button>`
    : html`<button type="button" aria-label=${name} onClick=${() => setAsking(true)}>${label}</button>`;
  return html`<span class="careful" role="group" aria-label=${name ?? label} ref=${group} onKeyDown=${escape}>
    ${choice}
    <span class="error" role="alert">${shown(error, 300)}</span>
  </span>`;
}

/** A list of names and counts. @param {{counts: Record<string, number>, none: string}} props */
export function Counts({ counts, none }) {
  const entries = Object.entries(counts ?? {}).filter(([, count]) => count > 0);
  if (!entries.length) return html`<p class="quiet">${none}</p>`;
  return html`<ul class="counts">
    ${entries
      .sort((a, b) => b[1] - a[1])
      .map(([name, count]) => html`<li key=${name}><span>${shown(name, 60)}</span> <b>${count}</b></li>`)}
  </ul>`;
}
