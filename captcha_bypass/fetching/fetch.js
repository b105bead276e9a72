// Defines what fetches in a blank document of the site's origin. Only strings and numbers cross the page's
// border, and no byte of a typed array is looked at: where this runs in a world of its own, as in Camoufox,
// Firefox forbids that.
//
// Each slot is a frame, with one request at a time: by its frame the browser's word of a request (which alone
// has all headers, and redirects) is matched to the fetch. No site can take these frames over, see `isTaken`.
(part) => {
  const slots = new Map();
  // The codings that Firefox undoes, and no others (nsHttpHandler::IsAcceptableEncoding).
  const PLAIN = ["gzip", "deflate"];
  const SECURE = [...PLAIN, "br", "zstd"];

  const open = (name) => {
    const frame = document.createElement("iframe");
    document.documentElement.append(frame);
    slots.set(name, { frame, upload: [] });
  };

  // A worker of the site that another page has registered meanwhile may claim this one.
  const isTaken = (view) => Boolean(view.navigator.serviceWorker?.controller);

  const feed = (name, base64) => {
    slots.get(name).upload.push(Uint8Array.fromBase64(base64));
  };

  const base64 = (blob) =>
    new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
      reader.onerror = () => reject(reader.error);
      reader.readAsDataURL(blob);
    });

  // Returns the body, or null as soon as it is, or says it will be, longer than it may be.
  const read = async (response, method, most, abort) => {
    const chunks = [];
    const declared = response.headers.has("content-encoding") ? 0 : Number(response.headers.get("content-length"));
    const reader = method === "HEAD" ? null : response.body?.getReader();
    let size = 0;
    let isTooLarge = reader && declared > most;
    while (reader && !isTooLarge) {
      const { value, done } = await reader.read();
      if (done) break;
      chunks.push(value);
      size += value.byteLength;
      isTooLarge = size > most;
    }
    if (isTooLarge) abort.abort();
    return isTooLarge ? null : new Blob(chunks);
  };

  // What the browser says of the answer has no exact bytes of headers beyond ASCII.
  const isTelling = ([name, value]) => name === "content-encoding" || /[^\x00-\x7f]/.test(value);

  const send = async (name, asked) => {
    const slot = slots.get(name);
    const view = slot.frame.contentWindow;
    const { url, options, hasBody, most } = JSON.parse(asked);
    if (isTaken(window) || isTaken(view)) return JSON.stringify({ error: "taken" });
    const abort = (slot.abort = new AbortController());
    if (hasBody) options.body = new Blob(slot.upload);
    slot.upload = [];
    const began = performance.now();
    let head, body, failure = "network";
    try {
      const response = await view.fetch(url, { ...options, signal: abort.signal });
      head = {
        status: response.status,
        isRedirect: response.type === "opaqueredirect",
        headers: [...response.headers].filter(isTelling),
        decodes: isSecureContext ? SECURE : PLAIN,
      };
      if (response.headers.has("content-encoding")) failure = "encoding";
      body = await read(response, options.method, most, abort);
    } catch {
      return JSON.stringify({ error: abort.signal.aborted ? "aborted" : failure });
    }
    if (body === null) return JSON.stringify({ error: "large" });
    head.milliseconds = performance.now() - began;
    head.size = body.size;
    slot.rest = body.size > part ? body : null;
    const first = body.size ? await base64(body.slice(0, part)) : "";
    return `${JSON.stringify(head)}\n${first}`;
  };

  const take = async (name, from) => {
    const { rest } = slots.get(name);
    const taken = await base64(rest.slice(from, from + part));
    if (from + part >= rest.size) slots.get(name).rest = null;
    return taken;
  };

  // Ends what the slot is doing, for the site as well. The frame goes when its promises have been told.
  const drop = (name) => {
    const slot = slots.get(name);
    slots.delete(name);
    slot?.abort?.abort();
    setTimeout(() => slot?.frame.remove());
  };

  globalThis.captchaBypass = { open, feed, send, take, drop };
}
