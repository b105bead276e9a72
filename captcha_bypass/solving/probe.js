// What one frame shows right now, as JSON. Runs in the frame, in a world of our own (isolated.py);
// must not change anything there.
// Takes {texts, selectors, html, limit}, and text.js; the texts are folded already (wire/text.py).
((look) => (argument, page) => JSON.stringify(look(argument, page)))(
({ texts, selectors, html, limit }, page) => {
  const root = document.documentElement;
  const result = { text: false, selector: false, badSelector: null, html: null };
  // What the address bar says need not be so: an error page may stand under the URL it was for.
  result.errorPage = /^about:(net|cert)error/.test(document.documentURI)
    ? document.documentURI.slice(0, 4096) : null;
  const loaded = performance.getEntriesByType("navigation")[0];
  // A script may open a document again, and never close it: it then loads for ever.
  result.ready = document.readyState !== "loading" || loaded?.domInteractive > 0;
  result.bytes = loaded?.decodedBodySize ?? 0;
  if (!root || result.bytes > limit) return result;
  if (html && result.ready) result.html = root.outerHTML.slice(0, html);
  if (!page.isDisplayed()) return result;

  const has = (value) => {
    const folded = page.fold(value);
    return texts.some((text) => folded.includes(text));
  };
  // Whether it is worth to lay it out: only if a text is somewhere in the document, or could be in a
  // shadow root.
  const isSomewhere = () => {
    const parts = [root.textContent ?? ""];
    for (const element of document.querySelectorAll("*")) {
      if (element.shadowRoot) return true;
      const value = page.valueOf(element);
      if (value) parts.push(value);
    }
    const all = page.bare(parts.join(" "));
    return texts.some((text) => all.includes(page.bare(text)));
  };

  if (texts.length) {
    result.text = has(document.title ?? "") || has(page.inner())
      || (isSomewhere() && has(page.laidOut(20000)));
  }
  selectors.forEach((selector, index) => {
    try {
      const visible = [...document.querySelectorAll(selector)].some(page.isVisible);
      result.selector ||= visible;
    } catch (error) {
      if (error.name === "SyntaxError") result.badSelector ??= index;
    }
  });
  return result;
})
