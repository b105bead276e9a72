// Loaded into Playwright's driver before its own code, for some things that Playwright 1.62 does wrong with
// Firefox. A Playwright that does them otherwise is left alone.
const { Module } = require("node:module");

const mends = [
  // The bytes of a header that is no UTF-8 are read from the wrong field, so that every value becomes the
  // same four characters; with this they come as Latin-1.
  [
    'Buffer.from(value2.type, "base64").toString("binary")',
    'Buffer.from(value2.value, "base64").toString("binary")',
  ],
  // The headers of a request that was held up for us are given to what it redirects to as well; what we
  // add is for the first request alone.
  ["if (redirectedFrom._originalRequestRoute?._alreadyContinuedHeaders)", "if (false)"],
  // With Camoufox no OPTIONS request is told of, as if each were the browser's own preflight.
  ['if (event.method === "OPTIONS" && !event.isIntercepted)', "if (false)"],
  // Firefox sends its next message when its last one is acknowledged (Nagle), which Linux puts off for 40 ms
  // unless there is something to send: this is something, and wants no answer.
  [
    'this._ws.addEventListener("message", (event) => {\n',
    'this._ws.addEventListener("message", (event) => {\n          this._ws.pong();\n',
  ],
  // A page is a tab of a window that stays, see below.
  [
    `await this._browser._browserSession.send("browsingContext.create", {
          type: BrowsingContext.CreateType.Window,
          userContext: this._browserContextId
        })`,
    `await (${openPage})(this._browser, this._browserContextId)`,
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
  const mended = mends.reduce((text, [wrong, right]) => text.replace(wrong, right), source);
  return compile.call(this, mended, ...rest);
};
