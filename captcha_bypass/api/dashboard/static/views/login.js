// The form for an API key. The key is sent once and kept nowhere; the cookie that comes back is not for scripts.

import * as api from "../api.js";
import { html } from "../html.js";
import { useEffect, useRef, useState } from "../vendor/preact-hooks.js";

/** @param {{done: () => void}} props */
export function Login({ done }) {
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => field.current?.focus(), []);

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    const input = field.current;
    if (!input || busy) return;
    setBusy(true);
    try {
      await api.login(input.value);
      input.value = "";
      done();
    } catch (refused) {
      setError(refused instanceof api.ApiError ? refused.message : String(refused));
      input.select();
    } finally {
      setBusy(false);
    }
  }

  return html`<form class="login" onSubmit=${submit}>
    <h1 tabindex="-1">Log in</h1>
    <p>This service asks for an API key. You see the tasks of that key.</p>
    <label for="key">API key</label>
    <input
      id="key" ref=${field} type="password" autocomplete="current-password" required maxlength="1000"
      spellcheck=${false} aria-invalid=${error ? "true" : undefined} aria-describedby="key-error"
    />
    <p id="key-error" class="error" role="alert">${error}</p>
    <button type="submit" aria-disabled=${busy}>Log in</button>
  </form>`;
}
