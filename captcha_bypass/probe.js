// What one frame shows right now, as JSON. Runs in the frame, in a world of our own (isolated.py);
// must not change anything there.
// Takes {text, selector, html, limit}; text is folded already (text.py, the same rule).
((look) => (argument) => JSON.stringify(look(argument)))(({ text, selector, html, limit }) => {
  const root = document.documentElement;
  const result = { text: false, selector: false, badSelector: false, html: null };
  // What the address bar says need not be so: an error page may stand under the URL it was for.
  result.errorPage = /^about:(net|cert)error/.test(document.documentURI)
    ? document.documentURI.slice(0, 4096) : null;
  result.ready = document.readyState !== "loading";
  result.bytes = performance.getEntriesByType("navigation")[0]?.decodedBodySize ?? 0;
  if (!root || result.bytes > limit) return result;
  if (html) result.html = root.outerHTML.slice(0, html);
  // A frame that is not displayed has no boxes, and innerText would then return hidden text too.
  const shown = !document.body || document.body.getClientRects().length > 0;
  if (!shown || !innerWidth || !innerHeight) return result;

  const fold = (value) =>
    value.replace(/[\u00ad\u200b-\u200d\u2060\ufeff]/g, "").replace(/\s+/g, " ").trim();
  const textOf = (node) => (node.innerText ?? node.textContent ?? "");
  const shadowRoots = function* (scope) {
    for (const element of scope.querySelectorAll("*")) {
      if (element.shadowRoot) {
        yield element.shadowRoot;
        yield* shadowRoots(element.shadowRoot);
      }
    }
  };

  if (text !== null) {
    const has = (value) => fold(value).includes(text);
    result.text = has(document.title ?? "") || has(textOf(document.body ?? root));
    if (!result.text) {
      for (const shadow of shadowRoots(document)) {
        if (shadow.host.getClientRects().length && has([...shadow.children].map(textOf).join(" "))) {
          result.text = true;
          break;
        }
      }
    }
  }
  if (selector !== null) {
    try {
      result.selector = [...document.querySelectorAll(selector)].some((element) => {
        const box = element.getBoundingClientRect();
        return box.width > 0 && box.height > 0 && getComputedStyle(element).visibility === "visible";
      });
    } catch (error) {
      result.badSelector = error.name === "SyntaxError";
    }
  }
  return result;
})
