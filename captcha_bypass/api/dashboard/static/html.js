// Tagged templates for preact: html`<p>${text}</p>` makes elements; text in them is only ever text.

import htm from "./vendor/htm.js";
import { h } from "./vendor/preact.js";

/** @type {(strings: TemplateStringsArray, ...values: any[]) => any} */
export const html = htm.bind(h);
