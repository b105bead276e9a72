// The page of a waiting task, as it is now. One person acts on it, others watch.

import { counted, duration, shown } from "../format.js";
import { html } from "../html.js";
import { listen } from "../input.js";
import { BEGIN, LiveConnection, MAX_PASTE } from "../live.js";
import { store, useNow } from "../store.js";
import { useEffect, useRef, useState } from "../vendor/preact-hooks.js";
import { Careful } from "./parts.js";

/** @typedef {import("../live.js").LiveState} LiveState */

/**
 * @param {{id: string, waiting: boolean, outcome: string | null}} props as the task's page knows it; once shown, the
 *   view stays to say how it ended. A task may wait again.
 */
export function Live({ id, waiting, outcome }) {
  const [waits, setWaits] = useState(0);
  useEffect(() => {
    if (waiting) setWaits((before) => before + 1);
  }, [waiting]);
  return waits ? html`<${LiveView} key=${waits} id=${id} waiting=${waiting} outcome=${outcome ?? ""} />` : null;
}

/** @param {{id: string, waiting: boolean, outcome: string}} props */
function LiveView({ id, waiting, outcome }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const control = useRef(/** @type {HTMLElement | null} */ (null));
  const [state, setState] = useState(BEGIN);
  const connection = useRef(/** @type {LiveConnection | null} */ (null));

  useEffect(() => {
    const live = new LiveConnection(id, setState, (picture) => draw(canvas.current, picture));
    connection.current = live;
    const element = canvas.current;
    const leave = () => control.current?.querySelector("button")?.focus();
    const deaf = element ? listen(element, live, leave) : () => {};
    return () => {
      deaf();
      live.close();
    };
  }, [id]);

  useEffect(() => {
    if (!waiting) connection.current?.settle(outcome);
  }, [waiting, outcome, state.connection]);

  const live = connection.current;
  const mine = state.control === "you";
  const over = state.connection === "ended";
  return html`<section class="live" aria-labelledby="live-title">
    <h2 id="live-title">The page now</h2>
    <p role="status">${told(state, outcome)}</p>
    ${state.error && !over && html`<p class="error" role="alert">${shown(state.error, 300)}</p>`}
    ${live && state.asked !== null && html`<${Asked} state=${state} live=${live} />`}
    ${!over && html`<${Until} until=${state.until} watchers=${state.watchers} />`}
    <div class="actions" ref=${control}>
      ${live && !over && html`<${Control} state=${state} live=${live} canvas=${canvas} />`}
    </div>
    <p id="live-help" class="quiet" hidden=${!mine}>
      Click into the picture; mouse and keys go to the page. Shift+Escape leaves it. Two fingers scroll.
    </p>
    <canvas
      ref=${canvas} class=${mine ? "mine" : ""} hidden=${!state.drawn || over} tabindex=${mine ? 0 : -1} role=${mine ? "application" : "img"}
      aria-label=${mine ? "The page. Mouse and keys go to it." : "The page, as a picture"} aria-describedby="live-help"
    ></canvas>
    ${live && mine && html`<${Typing} live=${live} />`}
  </section>`;
}

/** @param {HTMLCanvasElement | null} canvas @param {ImageBitmap} picture */
function draw(canvas, picture) {
  if (!canvas) return;
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    canvas.width = picture.width;
    canvas.height = picture.height;
  }
  canvas.getContext("2d")?.drawImage(picture, 0, 0);
}

/** @param {LiveState} state @param {string} outcome */
function told(state, outcome) {
  if (state.connection === "ended") {
    const how = state.outcome || outcome;
    if (how === "completed") return "Solved: the task is completed.";
    return how ? `The wait has ended: ${shown(how, 60)}.` : "The wait has ended.";
  }
  if (state.connection === "connecting") return "Connecting to the page…";
  if (state.connection === "lost") return "The connection to the page is lost; trying again.";
  if (state.request === "refused") return "They keep control.";
  if (state.request === "asking") return "Asked for control; waiting for the answer.";
  if (state.control === "you") return "You have control.";
  if (state.control === "other") return "Somebody else has control; you watch.";
  return "Nobody has control.";
}

/** @param {{until: number | null, watchers: number}} props */
function Until({ until, watchers }) {
  const now = useNow(until !== null);
  return html`<p class="quiet">
    ${until === null ? null : html`<span class="left">${duration(Math.floor(Math.max(0, until - now)))} left</span>, `}
    ${counted(watchers, "watcher")}
  </p>`;
}

/** @param {{state: LiveState, live: LiveConnection, canvas: {current: HTMLCanvasElement | null}}} props */
function Control({ state, live, canvas }) {
  const open = state.connection === "open";
  const mine = state.control === "you";
  useEffect(() => {
    if (mine) canvas.current?.focus();
  }, [mine]);
  async function giveUp() {
    live.send({ type: "leave" });
    store.say("Given up.");
  }
  return html`${mine
      ? html`<button type="button" key="release" onClick=${() => live.act({ type: "release" })}>Release control</button>`
      : html`<button type="button" key="take" class="primary" aria-disabled=${!open || state.request === "asking"}
          onClick=${() => open && state.request !== "asking" && live.askForControl()}>
          ${state.control === "other" ? "Ask for control" : "Take control"}
        </button>`}
    ${state.control !== "other" &&
    html`<${Careful} label="Give up" question="The task ends unsolved." yes="Give up" act=${giveUp} />`}`;
}

/** Somebody else wants control. Whoever types is not disturbed: the focus stays where it is. @param {{state: LiveState, live: LiveConnection}} props */
function Asked({ state, live }) {
  useNow(true);
  const left = Math.ceil(state.answerIn - (Date.now() - Number(state.asked)) / 1000);
  if (left <= 0) return null;
  return html`<div class="notice ask" role="group" aria-labelledby="asked-text">
    <p id="asked-text" role="alert">Somebody else asks for control.</p>
    <p>Without an answer it goes to them in ${left} s.</p>
    <p class="actions">
      <button type="button" onClick=${() => live.answer("keep")}>Keep it</button>
      <button type="button" onClick=${() => live.answer("yield")}>Hand it over</button>
    </p>
  </div>`;
}

/** For phones, and texts that come as a whole. @param {{live: LiveConnection}} props */
function Typing({ live }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    const input = field.current;
    if (!input?.value) return;
    live.act({ type: "paste", text: input.value });
    input.value = "";
  }
  /** @param {string} key */
  function press(key) {
    live.act({ type: "key", action: "down", key });
    live.act({ type: "key", action: "up", key });
  }
  return html`<form class="typing" autocomplete="off" onSubmit=${submit}>
    <label>Text for the page <input ref=${field} maxlength=${MAX_PASTE} autocomplete="off" autocapitalize="off" spellcheck=${false} /></label>
    <button type="submit">Send text</button>
    ${["Enter", "Tab", "Backspace"].map((key) => html`<button type="button" key=${key} onClick=${() => press(key)}>${key}</button>`)}
  </form>`;
}
