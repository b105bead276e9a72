// What was kept of a page: a picture, and its HTML as text. It is rendered only on request, in a
// frame that can neither run scripts nor load anything.

import * as api from "../api.js";
import { bytes, shown } from "../format.js";
import { html } from "../html.js";
import { useEffect, useMemo, useRef, useState } from "../vendor/preact-hooks.js";

/** Characters of the source that are shown at first. */
const FIRST = 20000;
const NOTHING_LOADS =
  "<!doctype html><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; form-action 'none'; base-uri 'none'\">";
/** What hints at hosts to connect to, which no policy forbids, nests documents, or is refused anyway. */
const LOADERS = "link, meta, base, script, style, noscript, iframe, frame, object, embed, template, portal, fencedframe";
/** Attributes that lead elsewhere, or are refused anyway. */
const NAMES = ["href", "xlink:href", "ping", "target", "action", "formaction", "style", "src", "srcset", "poster", "background"];
/** Times that a text is cleaned until there is nothing to take out. */
const ROUNDS = 6;

/** @param {{id: string, size: {html_bytes: number, jpeg_bytes: number}}} props */
export function Evidence({ id, size }) {
  return html`<section aria-labelledby="evidence-title">
    <h2 id="evidence-title">Evidence</h2>
    ${size.jpeg_bytes > 0 &&
    html`<figure class="picture">
      <figcaption>The page as it was at the end (${bytes(size.jpeg_bytes)})</figcaption>
      <img src=${api.evidenceUrl(id, "jpeg")} alt="Screenshot of the page at the task's end" loading="lazy" />
    </figure>`}
    ${size.html_bytes > 0 && html`<${Source} id=${id} size=${size.html_bytes} />`}
  </section>`;
}

/** @param {{id: string, size: number}} props */
function Source({ id, size }) {
  const [source, setSource] = useState(/** @type {string | null} */ (null));
  const [error, setError] = useState("");
  const [view, setView] = useState(/** @type {"" | "text" | "frame"} */ (""));
  const ended = useRef(new AbortController());
  useEffect(() => () => ended.current.abort(), []);

  /** @param {"text" | "frame"} wanted */
  async function open(wanted) {
    setError("");
    try {
      if (source === null) setSource(await api.evidenceHtml(id, ended.current.signal));
      setView(view === wanted ? "" : wanted);
    } catch (refused) {
      if (!ended.current.signal.aborted) setError(refused instanceof Error ? refused.message : String(refused));
    }
  }

  return html`<div class="source">
    <h3>HTML (${bytes(size)})</h3>
    <p class="actions">
      <button type="button" aria-expanded=${view === "text"} onClick=${() => open("text")}>Source</button>
      <button type="button" aria-expanded=${view === "frame"} onClick=${() => open("frame")}>Render without scripts, styles and network</button>
      <span class="error" role="alert">${shown(error, 300)}</span>
    </p>
    ${source !== null && view === "text" && html`<${Text} source=${source} />`}
    ${source !== null && view === "frame" && html`<${Rendered} source=${source} />`}
  </div>`;
}

/** @param {{source: string}} props */
function Text({ source }) {
  const [all, setAll] = useState(false);
  const rest = source.length - FIRST;
  return html`<pre tabindex="0" role="region" aria-label="Source of the page"><code>${all ? source : source.slice(0, FIRST)}</code></pre>
    ${rest > 0 && !all && html`<button type="button" onClick=${() => setAll(true)}>Show all (${rest} more characters)</button>`}`;
}

/** @param {{source: string}} props */
function Rendered({ source }) {
  const clean = useMemo(() => harmless(source), [source]);
  if (clean === null) return html`<p class="error" role="alert">This HTML cannot be shown without risk.</p>`;
  return html`<iframe
    class="rendered" title="The page, without scripts and network" sandbox="" referrerpolicy="no-referrer"
    csp="default-src 'none'" srcdoc=${clean}
  ></iframe>`;
}

/**
 * Returns HTML for the sandboxed frame. The sandbox and the policy forbid to run and to load; this takes out
 * what makes a browser connect to a host before it asks them: hints, and frames in the frame.
 *
 * @param {string} source
 * @returns {string | null} null: it never became harmless
 */
export function harmless(source) {
  let text = source;
  for (let round = 0; round < ROUNDS; round++) {
    const whole = NOTHING_LOADS + text;
    // A document made this way runs and loads nothing.
    const parsed = new DOMParser().parseFromString(whole, "text/html");
    const loaders = parsed.querySelectorAll(LOADERS);
    const leading = [...parsed.querySelectorAll("*")].filter((element) => NAMES.some((name) => element.hasAttribute(name)));
    if (loaders.length === 1 && !leading.length) return whole; // the policy's own
    for (const element of loaders) element.remove();
    for (const element of leading) {
      for (const name of NAMES) element.removeAttribute(name);
    }
    // What is written out may be read as something else: it is looked at again.
    text = parsed.documentElement.outerHTML;
  }
  return null;
}
