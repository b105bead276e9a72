// The operator's page: who may see it, the one connection, and which view is shown.

import * as api from "./api.js";
import { Events } from "./events.js";
import { html } from "./html.js";
import { useRoute } from "./router.js";
import { store, useStore } from "./store.js";
import { render } from "./vendor/preact.js";
import { Frame } from "./views/frame.js";
import { Login } from "./views/login.js";
import { NowView } from "./views/now.js";
import { SessionsView } from "./views/sessions.js";
import { TaskView } from "./views/task.js";

const events = new Events({
  event(name, data) {
    if (name === "status") store.takeStatus(data);
    else if (name === "tasks") store.takeTasks(data);
    else store.takeMinutes(data);
  },
  connection(connection) {
    const before = store.state.connection;
    if (connection === before) return;
    store.set({ connection });
    if (connection === "lost") store.say("Connection lost.");
    if (before === "lost" && connection === "live") store.say("Connected again.");
  },
  refused: (error) => void begin(error),
});

/** Asks who this browser is, and connects if it may. @param {unknown} [known] why the service refused */
async function begin(known) {
  try {
    if (known) throw known;
    const session = await api.session();
    const mayLook = session.authenticated || !session.needs_key;
    store.set({ session, refusal: null });
    if (mayLook) events.start();
    else leave();
  } catch (error) {
    const refused = error instanceof api.ApiError && error.status === 403;
    store.set({ connection: refused ? "connecting" : "lost", refusal: refused ? error.message : null });
    if (refused) leave();
    else setTimeout(begin, 3000);
  }
}

function leave() {
  events.stop();
  store.forget();
}

async function logout() {
  await api.logout();
  leave();
  await begin();
}

function App() {
  const session = useStore((state) => state.session);
  const refusal = useStore((state) => state.refusal);
  const route = useRoute();
  if (refusal) return html`<${Frame} bare><h1>Not from here</h1><p>${refusal}</p><//>`;
  if (!session) return html`<${Frame} bare><${Absent} /><//>`;
  if (session.needs_key && !session.authenticated) {
    return html`<${Frame} bare><${Login} done=${() => void begin()} /><//>`;
  }
  return html`<${Frame} route=${route} logout=${session.needs_key ? logout : null}><${View} route=${route} /><//>`;
}

function Absent() {
  const lost = useStore((state) => state.connection === "lost");
  return html`<p role="status">${lost ? "The service does not answer; trying again." : ""}</p>`;
}

/** @param {{route: import("./router.js").Route}} props */
function View({ route }) {
  if (route.view === "now") return html`<${NowView} ...${route} />`;
  if (route.view === "sessions") return html`<${SessionsView} />`;
  if (route.view === "task") return html`<${TaskView} key=${route.id} id=${route.id} />`;
  return html`<h1 tabindex="-1">No such view</h1><p><a href="#/">To the overview</a></p>`;
}

render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
void begin();
