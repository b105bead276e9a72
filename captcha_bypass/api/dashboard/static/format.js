// How figures and texts are written. Texts come from pages that nobody here wrote.

// Control characters, and those that turn the direction of a text or take no room: they make one
// text look like another.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/**
 * Returns a text in which what cannot be seen can be seen.
 *
 * @param {unknown} text
 * @param {number} [most] characters; what is longer ends in "…"
 */
export function shown(text, most = 2000) {
  const whole = String(text ?? "");
  const cut = whole.length > most ? `${whole.slice(0, most)}…` : whole;
  return cut.replace(UNSEEN, (c) => `\\u{${c.charCodeAt(0).toString(16)}}`);
}

/** @param {number | null | undefined} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const s = Math.max(0, seconds);
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

/** @param {number | null | undefined} count */
export function bytes(count) {
  if (!count) return "–";
  if (count < 1000) return `${count} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = count;
  let unit = "";
  for (unit of units) {
    value /= 1000;
    if (value < 999.5) break;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

const TIME = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** Returns the time of day. @param {number | null} at */
export function clock(at) {
  return at === null ? "–" : TIME.format(at * 1000);
}

/** Returns day and time. @param {number | null} at */
export function moment(at) {
  return at === null ? "–" : `${DAY.format(at * 1000)}, ${TIME.format(at * 1000)}`;
}

/** Returns the value of a `datetime` attribute. @param {number | null} at */
export function machine(at) {
  return at === null ? undefined : new Date(at * 1000).toISOString();
}

/** @type {Record<string, string>} */
const STATES = {
  pending: "queued",
  running: "running",
  waiting_for_human: "waits for a person",
};

/**
 * Returns how a task stands, in words.
 *
 * @param {{state: string, outcome: string | null}} task
 */
export function standing(task) {
  return task.outcome ?? STATES[task.state] ?? task.state;
}

/**
 * Returns the colour's name for how a task stands; the words say the same.
 *
 * @param {{state: string, outcome: string | null}} task
 */
export function tone(task) {
  if (task.state === "waiting_for_human") return "ask";
  if (task.outcome === null) return "open";
  if (task.outcome === "completed") return "good";
  if (task.outcome === "timeout") return "warn";
  return task.outcome === "cancelled" ? "quiet" : "bad";
}

/** Returns "1 task", "2 tasks". @param {number} count @param {string} word */
export function counted(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}
