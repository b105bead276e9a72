// Loaded into Playwright's driver before its own code. Playwright 1.62 reads the bytes of a header that is
// no UTF-8 from the wrong field, so that every value becomes the same four characters; with this they come
// as Latin-1. A Playwright that does it right is left alone.
const { Module } = require("node:module");

const compile = Module.prototype._compile;
Module.prototype._compile = function (source, ...rest) {
  const mended = source.replace(
    'Buffer.from(value2.type, "base64").toString("binary")',
    'Buffer.from(value2.value, "base64").toString("binary")',
  );
  return compile.call(this, mended, ...rest);
};
