// What one frame shows right now, as JSON. Runs in the frame, in a world of our own (isolated.py);
// must not change anything there.
// Takes {text, selector, html, limit}; text is folded already (wire/text.py, the same rule).
((look) => (argument) => JSON.stringify(look(argument)))(({ text, selector, html, limit }) => {
  const root = document.documentElement;
  const result = { text: false, selector: false, badSelector: false, html: null };
  // What the address bar says need not be so: an error page may stand under the URL it was for.
  result.errorPage = /^about:(net|cert)error/.test(document.documentURI)
    ? document.documentURI.slice(0, 4096) : null;
  const loaded = performance.getEntriesByType("navigation")[0];
  // A script may open a document again, and never close it: it then loads for ever.
  result.ready = document.readyState !== "loading" || loaded?.domInteractive > 0;
  result.bytes = loaded?.decodedBodySize ?? 0;
  if (!root || result.bytes > limit) return result;
  if (html && result.ready) result.html = root.outerHTML.slice(0, html);
  // innerText of what is not displayed is its hidden text.
  const isUndisplayed = (element) => getComputedStyle(element)?.display === "none";
  if (!innerWidth || !innerHeight || [root, document.body ?? root].some(isUndisplayed)) return result;

  const fold = (value) =>
    value.replace(/[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]/g, "")
      .replace(/\s+/g, " ").trim();
  const has = (value) => fold(value).includes(text);

  // What is typed into a control, chosen in it or written on it; null: it is none that shows text.
  const valueOf = (element) => {
    if (element.localName === "textarea") return element.value;
    if (element.localName === "select") {
      return [...element.selectedOptions].map((option) => option.label).join(" ");
    }
    const wordless = /^(password|hidden|checkbox|radio|file|color|range|image)$/;
    return element.localName !== "input" ? null : wordless.test(element.type) ? "" : element.value;
  };

  // The text as it is laid out: with what stands in controls, shadow roots and their slots, and in
  // parts that are not painted yet, all of which innerText leaves out. Looks at so many nodes at most.
  const laidOut = (most) => {
    const parts = [];
    const silent = /^(script|style|noscript|template|title|iframe|object|canvas|audio|video)$/;
    const cased = { uppercase: (t) => t.toUpperCase(), lowercase: (t) => t.toLowerCase() };
    const stack = [{ node: document.body ?? root, shown: true, as: null }];
    while (stack.length && most-- > 0) {
      const { node, shown, as } = stack.pop();
      if (typeof node === "string") parts.push(node);
      if (node.nodeType === Node.TEXT_NODE && shown) parts.push(as ? as(node.data) : node.data);
      if (node.nodeType !== Node.ELEMENT_NODE || silent.test(node.localName)) continue;
      const style = getComputedStyle(node);
      if (!style || style.display === "none" || style.contentVisibility === "hidden") continue;
      const visible = style.visibility === "visible";
      const value = valueOf(node);
      if (value !== null) {
        if (visible) parts.push(" ", value, " ");
        continue;
      }
      let children = (node.shadowRoot ?? node).childNodes;
      if (node.localName === "slot" && node.assignedNodes().length) children = node.assignedNodes();
      if (node.localName === "details" && !node.open) {
        children = [...children].filter((child) => child.localName === "summary").slice(0, 1);
      }
      const apart = node.localName === "br" || !/^(inline|contents)$/.test(style.display);
      if (apart) stack.push({ node: " " });
      for (let i = children.length - 1; i >= 0; i--) {
        stack.push({ node: children[i], shown: visible, as: cased[style.textTransform] });
      }
      if (apart) stack.push({ node: " " });
    }
    return parts.join("");
  };
  // Whether it is worth that: only if it is somewhere in the document, or could be in a shadow root.
  const isSomewhere = () => {
    const bare = (value) => fold(value).replace(/ /g, "").toLowerCase();
    const parts = [root.textContent ?? ""];
    for (const element of document.querySelectorAll("*")) {
      if (element.shadowRoot) return true;
      const value = valueOf(element);
      if (value) parts.push(value);
    }
    return bare(parts.join(" ")).includes(bare(text));
  };

  if (text !== null) {
    const body = document.body ?? root;
    result.text = has(document.title ?? "") || has(body.innerText ?? body.textContent ?? "")
      || (isSomewhere() && has(laidOut(20000)));
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
