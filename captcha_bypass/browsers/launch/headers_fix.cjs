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
];

const compile = Module.prototype._compile;
Module.prototype._compile = function (source, ...rest) {
  const mended = mends.reduce((text, [wrong, right]) => text.replace(wrong, right), source);
  return compile.call(this, mended, ...rest);
};
