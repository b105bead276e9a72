// What the page knows. One owner of the state; views read it and are told when it changes.

import { useEffect, useState } from "./vendor/preact-hooks.js";

/**
 * @typedef {"connecting" | "live" | "lost" | "paused"} Connection
 *
 * @typedef {object} State
 * @property {Connection} connection
 * @property {import("./types.js").Session | null} session
 * @property {string | null} refusal why the service shows nothing to this browser
 * @property {import("./types.js").Status | null} status
 * @property {import("./types.js").Task[] | null} tasks newest first; null until the first batch
 * @property {import("./types.js").Minute[]} minutes
 * @property {number} ahead seconds that the service's clock is ahead of this machine's
 * @property {string} said the last thing told to who cannot see the page
 */

export class Store {
  constructor() {
    /** @type {State} */
    this.state = {
      connection: "connecting",
      session: null,
      refusal: null,
      status: null,
      tasks: null,
      minutes: [],
      ahead: 0,
      said: "",
    };
    /** @type {Map<string, import("./types.js").Task>} */
    this.byId = new Map();
    /** @type {Set<() => void>} */
    this.listeners = new Set();
  }

  /** @param {Partial<State>} change */
  set(change) {
    this.state = { ...this.state, ...change };
    for (const listener of this.listeners) listener();
  }

  /** Tells screen readers, politely. @param {string} text */
  say(text) {
    this.set({ said: text });
  }

  /** Forgets what belongs to a key. */
  forget() {
    this.byId.clear();
    this.set({ status: null, tasks: null, minutes: [] });
  }

  /** @param {import("./types.js").Status} status */
  takeStatus(status) {
    this.set({ status, ahead: status.now - Date.now() / 1000 });
  }

  /** Entries that did not change stay the same objects: their rows are not drawn again. @param {import("./types.js").TaskBatch} batch */
  takeTasks(batch) {
    const old = this.byId;
    if (batch.reset) this.byId = new Map();
    for (const id of batch.removed ?? []) this.byId.delete(id);
    for (const task of batch.tasks) {
      const known = old.get(task.id);
      this.byId.set(task.id, known && JSON.stringify(known) === JSON.stringify(task) ? known : task);
    }
    const tasks = [...this.byId.values()].sort((a, b) => (b.came_at ?? 0) - (a.came_at ?? 0));
    this.set({ tasks });
  }

  /** All minutes at first, then the last ones. @param {import("./types.js").Minute[]} minutes */
  takeMinutes(minutes) {
    const byTime = new Map(this.state.minutes.map((minute) => [minute.at, minute]));
    for (const minute of minutes) byTime.set(minute.at, minute);
    const all = [...byTime.values()].sort((a, b) => a.at - b.at).slice(-60);
    this.set({ minutes: all });
  }

  /** Returns the service's time. */
  now() {
    return Date.now() / 1000 + this.state.ahead;
  }
}

export const store = new Store();

/**
 * Returns a part of the state; the component is drawn again when that part is another one.
 *
 * @template T
 * @param {(state: State) => T} part
 * @returns {T}
 */
export function useStore(part) {
  const [, redraw] = useState({});
  const value = part(store.state);
  useEffect(() => {
    let last = part(store.state);
    if (last !== value) redraw({});
    const listener = () => {
      const next = part(store.state);
      if (next !== last) redraw({});
      last = next;
    };
    store.listeners.add(listener);
    return () => void store.listeners.delete(listener);
  }, []);
  return value;
}

/** Returns the service's time, anew each second while `ticking`. @param {boolean} ticking */
export function useNow(ticking) {
  const [, redraw] = useState({});
  useEffect(() => {
    if (!ticking) return undefined;
    const timer = setInterval(() => redraw({}), 1000);
    return () => clearInterval(timer);
  }, [ticking]);
  return store.now();
}
