// Turns what a person does on the picture into messages: mouse, touch, wheel, keys, paste.

import { MAX_PASTE } from "./live.js";

/** Milliseconds and pixels within which clicks belong together. */
const CLICK_TIME = 500;
const CLICK_REACH = 5;
/** Keys that are sent with Ctrl or Cmd; all others stay the browser's own. */
const WITH_CTRL = new Set([..."aczxyACZXY", "Home", "End", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Backspace", "Delete", "Enter"]);
const BUTTONS = /** @type {const} */ (["left", "middle", "right"]);
const WHEEL_LINE = 16;
const WHEEL_PACE = 50;

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
    this.last = { at: -Infinity, x: 0, y: 0, button: -1 };
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
    if (!this.mine || event.button > 2) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.fingers.size > 1) return; // two fingers scroll
    const place = this.place(event);
    const again =
      event.timeStamp - this.last.at < CLICK_TIME &&
      event.button === this.last.button &&
      Math.hypot(event.clientX - this.last.x, event.clientY - this.last.y) < CLICK_REACH;
    this.clicks = again ? Math.min(this.clicks + 1, 3) : 1;
    this.last = { at: event.timeStamp, x: event.clientX, y: event.clientY, button: event.button };
    this.live.act({ type: "mouse", action: "move", ...place, button: "left", clicks: 0 });
    this.live.act({ type: "mouse", action: "down", ...place, button: BUTTONS[event.button], clicks: this.clicks });
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
    this.live.moved({ type: "mouse", action: "move", ...this.place(event), button: "left", clicks: 0 });
  }

  /** @param {PointerEvent} event */
  up(event) {
    if (!this.fingers.delete(event.pointerId) || this.fingers.size) return;
    if (!this.mine) return;
    const button = BUTTONS[Math.max(event.button, 0)] ?? "left";
    this.live.act({ type: "mouse", action: "up", ...this.place(event), button, clicks: this.clicks });
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
      this.scrolled = { dx: 0, dy: 0, x: 0, y: 0 };
      this.live.act({ type: "wheel", x, y, dx: Math.round(right), dy: Math.round(down) });
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
    if (text) this.live.act({ type: "paste", text: text.slice(0, MAX_PASTE) });
  }
}

/** Whether a key goes to the page; shortcuts of the operator's own browser stay there. @param {KeyboardEvent} event */
function isForThePage(event) {
  const { key } = event;
  if (event.isComposing || key === "Process" || key === "Dead" || key === "Unidentified") return false;
  if (/^F\d+$/.test(key)) return false;
  if (event.ctrlKey || event.metaKey) {
    const typed = event.getModifierState("AltGraph"); // how some keyboards write @
    return typed || key === "Control" || key === "Meta" || WITH_CTRL.has(key);
  }
  return true;
}
