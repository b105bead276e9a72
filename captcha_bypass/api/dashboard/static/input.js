// Turns what a person does on the picture into messages: mouse, touch, wheel, keys, paste.

import { MAX_PASTE } from "./live.js";

/** Milliseconds and pixels within which clicks belong together. */
const CLICK_TIME = 500;
const CLICK_REACH = 5;
const ARROWS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];
/** Keys that are no characters, as far as the service takes them. */
const NAMED = new Set([...ARROWS, "Enter", "Tab", "Backspace", "Delete", "Escape", "Insert", "Shift", "Control", "Home", "End", "PageUp", "PageDown"]);
/** Keys that are sent with Ctrl; all others stay the browser's own. */
const WITH_CTRL = new Set([...ARROWS, ..."aAyYzZ", "Backspace", "Delete", "Shift", "Control", "Home", "End"]);
const WHEEL_LINE = 16;
const WHEEL_PACE = 50;
/** Pixels of one message. */
const MAX_TURN = 10000;

/**
 * Listens to an element until the returned function is called.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {import("./live.js").LiveConnection} live
 * @param {() => void} leave called when the person wants to leave the picture by keyboard
 * @returns {() => void}
 */
export function listen(canvas, live, leave) {
  const ended = new AbortController();
  const options = { signal: ended.signal };
  const pointer = new Pointer(canvas, live);
  const keys = new Keys(live, leave);
  canvas.addEventListener("pointerdown", (event) => pointer.down(event), options);
  canvas.addEventListener("pointermove", (event) => pointer.moved(event), options);
  canvas.addEventListener("pointerup", (event) => pointer.up(event), options);
  canvas.addEventListener("pointercancel", (event) => pointer.up(event), options);
  canvas.addEventListener("contextmenu", (event) => live.state.control === "you" && event.preventDefault(), options);
  canvas.addEventListener("wheel", (event) => pointer.wheel(event), { ...options, passive: false });
  canvas.addEventListener("keydown", (event) => keys.down(event), options);
  canvas.addEventListener("keyup", (event) => keys.up(event), options);
  canvas.addEventListener("blur", () => keys.releaseAll(), options);
  canvas.addEventListener("paste", (event) => keys.paste(event), options);
  return () => {
    keys.releaseAll();
    pointer.end();
    ended.abort();
  };
}

class Pointer {
  /** @param {HTMLCanvasElement} canvas @param {import("./live.js").LiveConnection} live */
  constructor(canvas, live) {
    this.canvas = canvas;
    this.live = live;
    this.clicks = 0;
    this.last = { at: -Infinity, x: 0, y: 0 };
    /** @type {Map<number, {x: number, y: number}>} */
    this.fingers = new Map();
    this.scrolled = { dx: 0, dy: 0, x: 0, y: 0 };
    this.timer = 0;
  }

  get mine() {
    return this.live.state.control === "you";
  }

  /** Returns where that is in the page, inside of it. @param {{clientX: number, clientY: number}} event */
  place({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    const { width, height } = this.live.state;
    const along = (/** @type {number} */ part, /** @type {number} */ most) =>
      Math.round(Math.min(Math.max(part, 0), 1) * Math.max(most - 1, 0));
    return { x: along((clientX - box.left) / box.width, width), y: along((clientY - box.top) / box.height, height) };
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (!this.mine || event.button !== 0) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.fingers.size > 1) return; // two fingers scroll
    const place = this.place(event);
    const again =
      event.timeStamp - this.last.at < CLICK_TIME &&
      Math.hypot(event.clientX - this.last.x, event.clientY - this.last.y) < CLICK_REACH;
    this.clicks = again ? Math.min(this.clicks + 1, 3) : 1;
    this.last = { at: event.timeStamp, x: event.clientX, y: event.clientY };
    this.live.act({ type: "mouse", action: "move", ...place });
    this.live.act({ type: "mouse", action: "down", ...place, clicks: this.clicks });
  }

  /** @param {PointerEvent} event */
  moved(event) {
    if (!this.mine) return;
    const finger = this.fingers.get(event.pointerId);
    if (finger && this.fingers.size > 1) {
      this.scroll(event, (finger.x - event.clientX) / 2, (finger.y - event.clientY) / 2);
      this.fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      return;
    }
    this.live.moved({ type: "mouse", action: "move", ...this.place(event) });
  }

  /** @param {PointerEvent} event */
  up(event) {
    if (!this.fingers.delete(event.pointerId) || this.fingers.size) return;
    if (!this.mine) return;
    this.live.act({ type: "mouse", action: "up", ...this.place(event), clicks: this.clicks });
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    if (!this.mine || event.ctrlKey) return;
    event.preventDefault();
    const unit = event.deltaMode === 1 ? WHEEL_LINE : event.deltaMode === 2 ? this.live.state.height : 1;
    this.scroll(event, event.deltaX * unit, event.deltaY * unit);
  }

  /** Adds up, and sends only so often. @param {{clientX: number, clientY: number}} event @param {number} dx @param {number} dy */
  scroll(event, dx, dy) {
    this.scrolled = { dx: this.scrolled.dx + dx, dy: this.scrolled.dy + dy, ...this.place(event) };
    if (this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = 0;
      const { dx: right, dy: down, x, y } = this.scrolled;
      const bounded = (/** @type {number} */ turn) => Math.round(Math.min(Math.max(turn, -MAX_TURN), MAX_TURN));
      this.scrolled = { dx: 0, dy: 0, x: 0, y: 0 };
      this.live.act({ type: "wheel", x, y, dx: bounded(right), dy: bounded(down) });
    }, WHEEL_PACE);
  }

  end() {
    clearTimeout(this.timer);
  }
}

class Keys {
  /** @param {import("./live.js").LiveConnection} live @param {() => void} leave */
  constructor(live, leave) {
    this.live = live;
    this.leave = leave;
    /** @type {Map<string, string>} keys that are down, by where they are: their name may change with Shift */
    this.pressed = new Map();
  }

  /** @param {KeyboardEvent} event */
  down(event) {
    if (this.live.state.control !== "you") return;
    if (event.key === "Escape" && event.shiftKey) {
      event.preventDefault();
      this.releaseAll();
      this.leave();
      return;
    }
    if (!isForThePage(event)) return;
    event.preventDefault();
    this.pressed.set(event.code, event.key);
    this.live.act({ type: "key", action: "down", key: event.key });
  }

  /** @param {KeyboardEvent} event */
  up(event) {
    const key = this.pressed.get(event.code);
    if (key === undefined) return;
    event.preventDefault();
    this.pressed.delete(event.code);
    this.live.act({ type: "key", action: "up", key });
  }

  /** A key whose end is not seen must not stay down. */
  releaseAll() {
    for (const key of this.pressed.values()) this.live.act({ type: "key", action: "up", key });
    this.pressed.clear();
  }

  /** @param {ClipboardEvent} event */
  paste(event) {
    if (this.live.state.control !== "you") return;
    event.preventDefault();
    const text = event.clipboardData?.getData("text/plain") ?? "";
    // What is cut must not end in half a character.
    if (text) this.live.act({ type: "paste", text: text.slice(0, MAX_PASTE).replace(/[\ud800-\udbff]$/, "") });
  }
}

/** Whether a key goes to the page; shortcuts of the operator's own browser stay there. @param {KeyboardEvent} event */
function isForThePage(event) {
  const { key } = event;
  if (event.isComposing) return false;
  const typed = [...key].length === 1;
  if (typed && event.getModifierState("AltGraph")) return true; // how some keyboards write @
  if (event.metaKey || event.altKey) return false;
  return event.ctrlKey ? WITH_CTRL.has(key) : typed || NAMED.has(key);
}
