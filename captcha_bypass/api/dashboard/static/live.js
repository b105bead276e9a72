// The connection to a page that waits for a person: pictures come, mouse and keys go.

import { liveUrl } from "./api.js";

/**
 * @typedef {object} LiveState
 * @property {"connecting" | "open" | "lost" | "ended"} connection
 * @property {number} width
 * @property {number} height
 * @property {number} watchers
 * @property {"you" | "other" | "free"} control
 * @property {number | null} until
 * @property {number | null} asked when the question for control was put, of Date.now(); null: it was not
 * @property {number} answerIn seconds to answer it
 * @property {"" | "asking" | "refused"} request how one's own wish for control stands
 * @property {string} outcome how it ended; "" if that is not known
 * @property {string} error
 * @property {boolean} drawn whether a picture has come
 */

/** @type {LiveState} */
export const BEGIN = {
  connection: "connecting",
  width: 0,
  height: 0,
  watchers: 0,
  control: "free",
  until: null,
  asked: null,
  answerIn: 0,
  request: "",
  outcome: "",
  error: "",
  drawn: false,
};

/** Close code of the service: the login is over. */
const LOGGED_OUT = 4401;
const RETRY = [1000, 2000, 4000, 8000];
/** Milliseconds between messages of where the mouse is, and of the wheel. */
const PACE = 50;
/** Characters of one paste. */
export const MAX_PASTE = 10000;

export class LiveConnection {
  /**
   * @param {string} id
   * @param {(state: LiveState) => void} changed
   * @param {(picture: ImageBitmap) => void} draw
   */
  constructor(id, changed, draw) {
    this.id = id;
    this.changed = changed;
    this.draw = draw;
    this.state = BEGIN;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.timer = 0;
    this.tries = 0;
    this.owed = false;
    /** @type {object | null} */
    this.move = null;
    this.moveTimer = 0;
    this.seen = () => this.acknowledge();
    document.addEventListener("visibilitychange", this.seen);
    this.connect();
  }

  /** @param {Partial<LiveState>} change */
  set(change) {
    this.state = { ...this.state, ...change };
    this.changed(this.state);
  }

  connect() {
    const socket = new WebSocket(liveUrl(this.id));
    socket.binaryType = "blob";
    this.socket = socket;
    socket.onopen = () => {
      this.tries = 0;
      this.set({ connection: "open", error: "" });
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.take(JSON.parse(data));
      else void this.show(data);
    };
    socket.onclose = ({ code }) => this.closed(socket, code);
  }

  /** @param {WebSocket} socket @param {number} code */
  closed(socket, code) {
    if (this.socket !== socket) return;
    this.socket = null;
    if (this.state.connection === "ended") return;
    this.set({ connection: "lost", control: "free", asked: null, request: "" });
    if (code === LOGGED_OUT) return;
    const delay = RETRY[Math.min(this.tries++, RETRY.length - 1)];
    this.timer = setTimeout(() => this.connect(), delay);
  }

  /** The task does not wait any more: a connection that is lost is not made again. @param {string} outcome */
  settle(outcome) {
    if (this.state.connection === "open" || this.state.connection === "ended") return;
    this.close();
    this.set({ connection: "ended", outcome });
  }

  close() {
    clearTimeout(this.timer);
    clearTimeout(this.moveTimer);
    document.removeEventListener("visibilitychange", this.seen);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  /** @param {any} message */
  take(message) {
    if (message.type === "state") {
      const { width, height, watchers, control, until } = message;
      const change = { width: width ?? 0, height: height ?? 0, watchers, control, until };
      const settled = control === "other" ? {} : { request: /** @type {const} */ ("") };
      this.set({ ...change, ...settled, ...(control === "you" ? {} : { asked: null }) });
    } else if (message.type === "asked") this.set({ asked: Date.now(), answerIn: Number(message.seconds) });
    else if (message.type === "refused") this.set({ request: "refused" });
    else if (message.type === "error") this.set({ error: String(message.message), request: "" });
    else if (message.type === "ended") this.set({ connection: "ended", outcome: String(message.outcome ?? ""), control: "free" });
  }

  /** The next picture is asked for when this one is drawn, and not while nobody can see it. @param {Blob} data */
  async show(data) {
    try {
      const picture = await createImageBitmap(data);
      this.draw(picture);
      picture.close();
      if (!this.state.drawn || this.state.error) this.set({ drawn: true, error: "" });
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
    }
    this.owed = true;
    this.acknowledge();
  }

  acknowledge() {
    if (!this.owed || document.hidden) return;
    this.owed = false;
    this.send({ type: "ack" });
  }

  /** @param {object} message */
  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  askForControl() {
    this.set({ request: this.state.control === "other" ? "asking" : "", error: "" });
    this.send({ type: "control" });
  }

  /** @param {"keep" | "yield"} answer */
  answer(answer) {
    this.set({ asked: null });
    this.send({ type: answer });
  }

  /** Sends where the mouse is, but only so often; the last place always. @param {object} message */
  moved(message) {
    this.move = message;
    if (this.moveTimer) return;
    this.moveTimer = setTimeout(() => this.flush(), PACE);
  }

  /** What was held back goes before what comes after it. */
  flush() {
    clearTimeout(this.moveTimer);
    this.moveTimer = 0;
    if (this.move) this.send(this.move);
    this.move = null;
  }

  /** @param {object} message */
  act(message) {
    this.flush();
    this.send(message);
  }
}
