// The one connection that all figures come by. It comes back by itself, and rests while the tab is hidden.

import * as api from "./api.js";

/** Milliseconds without any event after which the connection is taken for lost; the status comes each 5 seconds. */
const SILENCE = 20000;
const FIRST_DELAY = 1000;
const LAST_DELAY = 10000;

/**
 * @typedef {object} Receiver
 * @property {(name: "status" | "tasks" | "minutes", data: any) => void} event
 * @property {(connection: import("./store.js").Connection) => void} connection
 * @property {(error: unknown) => void} refused the service answers, but not with events
 */

export class Events {
  /** @param {Receiver} receiver */
  constructor(receiver) {
    this.receiver = receiver;
    /** @type {EventSource | null} */
    this.source = null;
    this.timer = 0;
    this.watchdog = 0;
    this.delay = FIRST_DELAY;
    this.wanted = false;
    document.addEventListener("visibilitychange", () => this.follow());
    window.addEventListener("online", () => this.wanted && !this.source && this.follow());
    window.addEventListener("pagehide", () => this.end());
    window.addEventListener("pageshow", (event) => event.persisted && this.follow());
  }

  start() {
    this.wanted = true;
    this.delay = FIRST_DELAY;
    this.follow();
  }

  stop() {
    this.wanted = false;
    this.end();
  }

  /** Connects or rests, as the tab is seen or not. */
  follow() {
    if (!this.wanted) return;
    this.end();
    if (document.hidden) this.receiver.connection("paused");
    else this.connect();
  }

  end() {
    clearTimeout(this.timer);
    clearTimeout(this.watchdog);
    this.source?.close();
    this.source = null;
  }

  connect() {
    const source = new EventSource(api.eventsUrl());
    this.source = source;
    source.onopen = () => this.heard();
    source.onerror = () => void this.lost();
    for (const name of /** @type {const} */ (["status", "tasks", "minutes"])) {
      source.addEventListener(name, (event) => {
        this.heard();
        this.receiver.event(name, JSON.parse(event.data));
      });
    }
    this.watch();
  }

  heard() {
    this.delay = FIRST_DELAY;
    this.receiver.connection("live");
    this.watch();
  }

  watch() {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => void this.lost(), SILENCE);
  }

  /** EventSource does not tell why it failed: the session does. */
  async lost() {
    this.end();
    this.receiver.connection("lost");
    const delay = this.delay * (0.75 + Math.random() / 2);
    this.delay = Math.min(this.delay * 2, LAST_DELAY);
    this.timer = setTimeout(() => void this.again(), delay);
  }

  async again() {
    const timer = this.timer;
    try {
      const session = await api.session();
      if (this.timer !== timer || !this.wanted) return;
      if (session.needs_key && !session.authenticated) this.receiver.refused(null);
      else this.follow();
    } catch (error) {
      if (this.timer !== timer || !this.wanted) return;
      if (error instanceof api.ApiError && error.status === 403) this.receiver.refused(error);
      else void this.lost();
    }
  }
}
