// What a frame's document says: for probe.js and explain.js, which run beside it (isolated.py).
(() => {
  // The same rule as in wire/text.py.
  const fold = (value) =>
    value.replace(/[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]/g, "")
      .replace(/\s+/g, " ").trim();
  // For comparisons across elements: without any white space or case.
  const bare = (value) => fold(value).replace(/ /g, "").toLowerCase();

  // Whether the document is laid out at all; innerText of what is not displayed is its hidden text.
  const isDisplayed = () => {
    const root = document.documentElement;
    const isUndisplayed = (element) => getComputedStyle(element)?.display === "none";
    return Boolean(innerWidth && innerHeight) && ![root, document.body ?? root].some(isUndisplayed);
  };
  const isVisible = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && getComputedStyle(element).visibility === "visible";
  };

  // What is typed into a control, chosen in it or written on it; null: it is none that shows text.
  const valueOf = (element) => {
    if (element.localName === "textarea") return element.value;
    if (element.localName === "select") {
      return [...element.selectedOptions].map((option) => option.label).join(" ");
    }
    const wordless = /^(password|hidden|checkbox|radio|file|color|range|image)$/;
    return element.localName !== "input" ? null : wordless.test(element.type) ? "" : element.value;
  };

  // The text as the document itself gives it.
  const inner = () => {
    const body = document.body ?? document.documentElement;
    return body.innerText ?? body.textContent ?? "";
  };

  // The text as it is laid out: with what stands in controls, shadow roots and their slots, and in
  // parts that are not painted yet, all of which innerText leaves out. Looks at so many nodes at most.
  const laidOut = (most) => {
    const parts = [];
    const silent = /^(script|style|noscript|template|title|iframe|object|canvas|audio|video)$/;
    const cased = { uppercase: (t) => t.toUpperCase(), lowercase: (t) => t.toLowerCase() };
    const stack = [{ node: document.body ?? document.documentElement, shown: true, as: null }];
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

  return { fold, bare, isDisplayed, isVisible, valueOf, inner, laidOut };
})()
