// The page as HTML, for the result. Runs in the main frame, in a world of our own (isolated.py).
// Returns a line of JSON {errorPage, url, length}, and after it the HTML, unless it is over the limit:
// 50 MB need not cross the wire.
({ limit }) => {
  const type = document.doctype ? new XMLSerializer().serializeToString(document.doctype) : "";
  const html = type + (document.documentElement ? document.documentElement.outerHTML : "");
  const errorPage = /^about:(net|cert)error/.test(document.documentURI)
    ? document.documentURI.slice(0, 4096) : null;
  const about = JSON.stringify({ errorPage, url: document.URL.slice(0, limit), length: html.length });
  return about + "\n" + (html.length > limit ? "" : html);
}
