// Loaded into Playwright's driver before its own code, for some things that Playwright 1.62 does wrong with
// Firefox. A Playwright that does them otherwise is left alone.
const { Module } = require("node:module");

// Each mend is made whole or not at all.
const mends = [
  // The bytes of a header that is no UTF-8 are read from the wrong field, so that every value becomes the
  // same four characters; with this they come as Latin-1.
  [
    [
      'Buffer.from(value2.type, "base64").toString("binary")',
      'Buffer.from(value2.value, "base64").toString("binary")',
    ],
  ],
  // The headers of a request that was held up for us are given to what it redirects to as well; what we
  // add is for the first request alone.
  [["if (redirectedFrom._originalRequestRoute?._alreadyContinuedHeaders)", "if (false)"]],
  // With Camoufox no OPTIONS request is told of, as if each were the browser's own preflight.
  [['if (event.method === "OPTIONS" && !event.isIntercepted)', "if (false)"]],
  // Firefox sends its next message when its last one is acknowledged (Nagle), which Linux puts off for 40 ms
  // unless there is something to send: this is something, and wants no answer.
  [
    [
      'this._ws.addEventListener("message", (event) => {\n          messageWrap(() => {',
      'this._ws.addEventListener("message", (event) => {\n          this._ws.pong();\n          messageWrap(() => {',
    ],
  ],
  // Firefox keeps the body of each answer for us, and word of it for ever: here until its page is closed or
  // emptied, and none for a page whose document we have made ourselves.
  [
    [
      'await browser._browserSession.send("network.addDataCollector", {',
      'browser._collect = (context) => browser._browserSession.sendMayFail("network.addDataCollector", { contexts: [context],',
    ],
    ["          this.updateHttpCredentials()\n", "          this._keepBodies(true), this.updateHttpCredentials()\n"],
    [
      "      didClose() {\n        this._session.dispose();\n        eventsHelper.removeEventListeners(this._sessionListeners);\n",
      `      async _keepBodies(wanted) {
        const browser = this._browserContext._browser;
        const last = this._collector;
        this._collector = wanted ? browser._collect(this._session.sessionId) : undefined;
        const had = await last;
        if (had) await browser._browserSession.sendMayFail("network.removeDataCollector", had);
        await this._collector;
      }
      didClose() {
        this._keepBodies(false);
        this._session.dispose();
        eventsHelper.removeEventListeners(this._sessionListeners);
`,
    ],
    [
      "_onNavigationCommitted(params2) {\n        const frameId = params2.context;\n",
      `_onNavigationCommitted(params2) {
        const frameId = params2.context;
        if (frameId === this._session.sessionId) {
          const hadShown = this._hasShown;
          this._hasShown = params2.url !== "about:blank";
          if (hadShown && !this._hasShown) this._keepBodies(true);
        }
`,
    ],
    [
      'await this._session.sendMayFail("network.provideResponse", {',
      `if (base64body && this._request.isNavigationRequest()) this._request.frame()._page.delegate._keepBodies(false);
        await this._session.sendMayFail("network.provideResponse", {`,
    ],
  ],
  // The driver remembers ten thousand requests of all pages, for whoever would ask about one later: we do so
  // of documents alone.
  [
    [
      "redirectedFrom: _RequestDispatcher.fromNullable(scope, request2.redirectedFrom())\n        });",
      'redirectedFrom: _RequestDispatcher.fromNullable(scope, request2.redirectedFrom())\n        }, request2.isNavigationRequest() ? "Document" : "Request");',
    ],
    ['"JSHandle": 1e5,', '"Request": 1e3, "JSHandle": 1e5,'],
  ],
  // An answer of 300 to 399 is kept until its page is closed, for the request that it may lead to: that
  // follows at once, or never.
  [
    [
      `const responseEndTime = params2.request.timings.responseEnd - response2.timing().startTime;
        if (isRedirected) {
`,
      `const responseEndTime = params2.request.timings.responseEnd - response2.timing().startTime;
        if (isRedirected) {
          setTimeout(() => this._requests.get(request2._id) === request2 && this._deleteRequest(request2._id), 3e4).unref();
`,
    ],
  ],
  // Each document of Firefox's is given 340 kB of Playwright's scripts, a fifth or more of what a page costs, and
  // with them a function for typing that the page sees (`__pw_bidiInsertText`). Here who types brings it along.
  [
    ["        promises2.push(this.extendInjectedScript(source7));\n", ""],
    [
      "context2.evaluateHandle((text3) => window.__pw_bidiInsertText(text3), text2)",
      "context2.evaluateExpressionHandle(`(text) => { const module = {}; ${source7}; return bidiInsertText(window, text); }`, { isFunction: true }, text2)",
    ],
  ],
  // A page is a tab of a window that stays, see below.
  [
    [
      `await this._browser._browserSession.send("browsingContext.create", {
          type: BrowsingContext.CreateType.Window,
          userContext: this._browserContextId
        })`,
      `await (${openPage})(this._browser, this._browserContextId)`,
    ],
  ],
];

// Playwright asks for a window for each page, which costs Firefox twice what a tab does. Here windows stay, and
// are used again: each has an empty tab, and beside it one page at a time, so that no page is hidden.
async function openPage(browser, userContext) {
  const create = (type, more) => browser._browserSession.send("browsingContext.create", { type, ...more });
  const firstWindow = async () => {
    const { contexts } = await browser._browserSession.send("browsingContext.getTree", { maxDepth: 0 });
    return contexts.slice(0, 1).map(({ context }) => ({ empty: context }));
  };
  const openedBy = (window) => (page) => {
    while (page && page !== window.page) page = page._opener;
    return Boolean(page);
  };
  const windows = await (browser._windowsThatStay ??= firstWindow());
  const pages = [...browser._bidiPages.values()];
  let window = windows.find((window) => !window.opening && !(window.page && pages.some(openedBy(window))));
  if (!window) windows.push((window = {}));
  window.opening = true;
  try {
    window.empty ??= (await create("window")).context;
    const created = await create("tab", { referenceContext: window.empty, userContext });
    window.page = browser._bidiPages.get(created.context);
    return created;
  } catch {
    windows.splice(windows.indexOf(window), 1); // its empty tab is gone, or its browser
    return await create("window", { userContext });
  } finally {
    window.opening = false;
  }
}

const compile = Module.prototype._compile;
Module.prototype._compile = function (source, ...rest) {
  const fits = (mend) => mend.every(([wrong]) => source.includes(wrong));
  const mended = mends
    .filter(fits)
    .flat()
    .reduce((text, [wrong, right]) => text.replace(wrong, () => right), source);
  return compile.call(this, mended, ...rest);
};

module.exports = { mends };
