// Helpers that the ways of attack in kinds.py are written with, and what runs them.

const found = [];
const keep = async (answer) => {
  found.push(typeof answer === "string" ? answer : await answer.text());
};
const hop = (url) => `/hop?url=${encodeURIComponent(url)}`;

const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const own = (url) => new URL(url, location).origin === location.origin;
const name_of = (url) => new URL(url, location).pathname.split("/").pop();

// For ways that tell the page nothing: settled when its own site was asked. What another host
// was asked, the page cannot know; the attempts at the own site come last.
let seen = [];
const asked = async (url, again = () => {}) => {
  if (!own(url)) return;
  for (let i = 1; !seen.includes(name_of(url)); i++) {
    await sleep(50);
    if (i % 40 === 0) again();
  }
};
const look = async () => {
  while (true) {
    // Answered once there is news.
    seen = await (await fetch(`/seen?known=${seen.length}`)).json();
    await sleep(50);
  }
};
const html = (source) => {
  const place = document.body.appendChild(document.createElement("div"));
  place.innerHTML = source;
  return place;
};
const element = (tag, attributes) => new Promise((done) => {
  const made = document.createElement(tag);
  for (const event of ["load", "error", "loadeddata"]) made.addEventListener(event, done);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  document.body.append(made);
});
const link = (rel, href) => {
  document.head.append(Object.assign(document.createElement("link"), {rel, href}));
};
const framed_source = (src, url) => {
  document.body.append(Object.assign(document.createElement("iframe"), {src}));
  return asked(url);
};
const framed = (path, url) => framed_source(path + encodeURIComponent(url), url);
const framed_html = (srcdoc, url) => {
  document.body.append(Object.assign(document.createElement("iframe"), {srcdoc}));
  return asked(url);
};

function socket(url) {
  return new Promise((done) => {
    const made = new WebSocket(url.replace("http:", "ws:"));
    made.onopen = made.onerror = made.onclose = () => done("");
  });
}
const fetcher = `onmessage = ({data}) =>
  fetch(data).then((answer) => answer.text()).then(postMessage, () => postMessage(""))`;
const worker = (source, url) => new Promise((done, fail) => {
  const made = new Worker(URL.createObjectURL(new Blob([source])));
  made.onmessage = ({data}) => done(keep(data));
  made.onerror = fail;
  made.postMessage(new URL(url, location).href);
});
const service = async () => {
  const registered = await navigator.serviceWorker.register("/service-worker.js");
  return new Promise((done) => {
    const look = () => registered.active ? done(registered) : setTimeout(look, 20);
    look();
  });
};

// Asks servers for the addresses and relays that a call needs, as if there were to be one.
const ice = async (urls) => {
  const peer = new RTCPeerConnection({iceServers: [{urls, username: "u", credential: "c"}]});
  peer.createDataChannel("x");
  await peer.setLocalDescription(await peer.createOffer());
  await sleep(1500);
};
// A call to a peer that claims to be reachable at any address the page likes.
const call = async ({hostname, port}, transport) => {
  const [caller, callee] = [new RTCPeerConnection(), new RTCPeerConnection()];
  caller.createDataChannel("x");
  await caller.setLocalDescription(await caller.createOffer());
  await callee.setRemoteDescription(caller.localDescription);
  const answer = await callee.createAnswer();
  const how = transport === "tcp" ? "typ host tcptype passive" : "typ host";
  const claim = `candidate:1 1 ${transport} 2122252543 ${hostname} ${port} ${how}`;
  await caller.setRemoteDescription(answer);
  await caller.addIceCandidate({candidate: claim, sdpMid: "0", sdpMLineIndex: 0});
  await sleep(1500);
};

const within = (milliseconds, attempt) => Promise.race([
  attempt,
  new Promise((_, fail) => setTimeout(fail, milliseconds, "timeout")),
]);
const attempt = async ({name, kind, url}) => {
  const started = performance.now();
  let outcome = "over";
  try {
    await within(PATIENCE, kinds[kind](url));
  } catch (error) {
    outcome = String(error).slice(0, 60);
  }
  return [name, `${outcome} after ${Math.round(performance.now() - started)} ms`];
};
const attack = async (attempts) => {
  look();
  const outcomes = Object.fromEntries(await Promise.all(attempts.map(attempt)));
  html("<pre id=outcomes></pre>").firstChild.textContent = JSON.stringify(outcomes);
  html("<pre id=found></pre>").firstChild.textContent = found.join("\n");
  html("<p>attacks are over</p>");
};
