// Where in one frame what a task waits for is, though it is not shown, as JSON. Asked once, when the
// time is up. Runs in the frame, in a world of our own (isolated.py); must not change anything there.
// Takes {texts, selectors, nodes, chars}, and text.js; the texts are folded already (wire/text.py).
// Looks at so many nodes at most, and so many characters of each kind of place.
((look) => (argument, page) => JSON.stringify(look(argument, page)))(
({ texts, selectors, nodes, chars }, page) => {
  const root = document.documentElement;
  const result = {
    // Codes of wire/results.py, one for each text, and whether each selector matches what is hidden.
    texts: texts.map(() => null),
    selectors: selectors.map(() => false),
    errorPage: /^about:(net|cert)error/.test(document.documentURI),
    loading: document.readyState === "loading",
    // The frame's own, which a person sees of it.
    width: innerWidth,
    height: innerHeight,
    widget: false,
  };
  if (!root) return result;

  // Also before its script has filled it, but not those that ask a person only now and then.
  const widgets = ".cf-turnstile, .h-captcha, .g-recaptcha";
  const widget = root.querySelector(`:is(${widgets}):not([data-size=invisible])`);
  result.widget = Boolean(widget?.getClientRects().length);

  result.selectors = selectors.map((selector) => {
    try {
      const found = [...document.querySelectorAll(selector)];
      return found.length > 0 && !found.some(page.isVisible);
    } catch {
      return false;
    }
  });
  if (!texts.length) return result;

  const places = { hidden: [], attribute: [], script: [], source: [] };
  const left = { hidden: chars, attribute: chars, script: chars, source: chars };
  const keep = (place, value) => {
    if (left[place] <= 0) return;
    places[place].push(value.slice(0, left[place]));
    left[place] -= value.length + 1;
  };
  // What nobody would take for words of the page.
  const technical = /^(id|class|style|href|src|srcset|action|name|type|rel|for|integrity|nonce)$/;
  const stack = [{ node: root, place: "hidden" }];
  for (let visits = nodes; stack.length && visits > 0; visits--) {
    const { node, place } = stack.pop();
    if (node.nextSibling && node !== root) stack.push({ node: node.nextSibling, place });
    if (node.nodeType === Node.COMMENT_NODE) keep("source", node.data);
    if (node.nodeType === Node.TEXT_NODE) keep(place, node.data);
    let inside = place;
    if (node.nodeType === Node.ELEMENT_NODE) {
      if (node.localName === "script") inside = "script";
      if (/^(style|noscript|template)$/.test(node.localName)) inside = "source";
      for (const { name, value } of node.attributes) {
        if (left.attribute <= 0) break;
        if (!technical.test(name)) keep("attribute", value.slice(0, 4096));
      }
      const value = page.valueOf(node);
      if (value) keep(inside, value);
      for (const root of [node.shadowRoot, node.content]) {
        if (root instanceof DocumentFragment) stack.push({ node: root, place: inside });
      }
    }
    if (node.firstChild) stack.push({ node: node.firstChild, place: inside });
  }

  // Each node that is laid out has its style asked for, which takes most of the time.
  const shown = !page.isDisplayed() ? []
    : [document.title ?? "", page.inner(), page.laidOut(nodes / 4)];
  const bared = shown.map((value) => page.bare(value.slice(0, chars)));
  const hidden = page.bare(places.hidden.join(""));
  const folded = ["attribute", "script", "source"].map((place) =>
    [`text_in_${place}`, page.fold(places[place].join("\u0001"))]);
  result.texts = texts.map((text) => {
    const wanted = page.bare(text);
    if (bared.some((value) => value.includes(wanted))) return "text_other_case";
    if (hidden.includes(wanted)) return "text_hidden";
    return folded.find(([, value]) => value.includes(text))?.[0] ?? null;
  });
  return result;
})
