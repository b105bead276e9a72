"""Pages that hang, swell, flood or are no pages at all."""

from __future__ import annotations

import asyncio

from aiohttp import web

HIDDEN = """<p style="display:none">hidden words</p><script>var x = "script words";</script>
<iframe style="display:none" srcdoc="<p>undisplayed words</p>"></iframe>"""
SHADOW = """<div id=host></div><script>
const root = document.getElementById("host").attachShadow({mode: "open"});
root.innerHTML = "<p>shadow&nbsp;words</p>";</script>"""

# Replaces all that a script in the page's own world would call to describe the page.
LIAR = """<p>true words</p><script>
let deep = 1;
for (let i = 0; i < 450; i++) deep = {a: deep};
const lie = { get() { return { slice: () => deep, length: 1, toString: () => "x" } } };
for (const name of ["outerHTML", "innerHTML"]) Object.defineProperty(Element.prototype, name, lie);
for (const name of ["textContent", "documentURI"]) Object.defineProperty(Node.prototype, name, lie);
Object.defineProperty(HTMLElement.prototype, "innerText", lie);
for (const [where, name] of [[JSON, "stringify"], [JSON, "parse"], [document, "createElement"],
    [String.prototype, "slice"], [String.prototype, "includes"], [XMLSerializer.prototype,
    "serializeToString"], [window, "eval"], [window, "decodeURIComponent"], [Array, "isArray"],
    [Array.prototype, "map"], [Object, "entries"]]) where[name] = () => () => deep;
</script>"""

PAGES: dict[str, str] = {
    "liar": LIAR,
    "to-garbled": "<p>left</p><script>setTimeout(() => location = '/garbled', 300)</script>",
    "plain": "<h1>plain page</h1>",
    "spin": "<p>spin source</p><script>while (true) {}</script>",
    "spin-later": "<p>shown first</p><script>setTimeout(() => { while (true) {} }, 700)</script>",
    "reload": "<p>round</p><script>location.reload()</script>",
    "alerts": "<p>alerts</p><script>setInterval(() => alert('again'), 1)</script>",
    "leave": "<p>stay</p><script>onbeforeunload = (e) => e.preventDefault()</script>",
    "popups": "<p>popups</p><script>setInterval(() => open('/plain'), 50)</script>",
    "big": "<p>start</p>" + "<div>x</div>" * (11 * 1024 * 1024 // 12) + "<p>end</p>",
    "late": "<script>setTimeout(() => document.body.append('late words'), 600)</script>",
    "hidden": HIDDEN,
    "shadow": SHADOW,
    "frame": "<iframe src='/framed' width=300 height=200></iframe>",
    "framed": "<p>framed words</p>",
    "split": "<p>first</p><p>second\u00a0 half</p>",
    "case": "<p>Case Matters</p>",
    "selector": "<div id=no style='display:none'>x</div><div class='yes it-is'>y</div>",
    "push": "<script>history.pushState({}, '', '/pushed')</script><p>pushed words</p>",
    "meta": "<meta http-equiv=refresh content='0;url=/plain'>",
    "js-to-dead": "<script>location.href = 'http://nowhere.invalid/'</script>",
    "js-to-inside": "<script>location.href = 'http://127.0.0.1:65431/'</script>",
    "closes": "<p>paid words</p><script>close(); setTimeout(close, 200)</script>",
    "prints": "<p>receipt words</p><script>print(); onload = () => print()</script>",
    # Words that come once both were asked for, or blocked.
    "images": "<img src=/seen.png><link rel=stylesheet href=/seen.css>"
    "<script>onload = () => document.body.append('images')</script>",
}


async def _page(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    request.app[SEEN].append((request.path, dict(request.headers)))
    if name not in PAGES:
        raise web.HTTPNotFound
    return web.Response(text="<!doctype html><body>" + PAGES[name], content_type="text/html")


async def _on_demand(request: web.Request) -> web.StreamResponse:
    request.app[SEEN].append((request.path, dict(request.headers)))
    page = "<p id=here>wait</p><script>fetch('/demanded').then(r => r.text()).then(t => here.textContent = t)</script>"
    return web.Response(text=f"<!doctype html>{page}", content_type="text/html")


async def _demanded(request: web.Request) -> web.StreamResponse:
    request.app[SEEN].append((request.path, dict(request.headers)))
    await request.app[SHOW].wait()
    return web.Response(text="shown words")


async def _silent(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(120)
    return web.Response()


async def _drip(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/html; charset=utf-8"})
    await response.prepare(request)
    await response.write(b"<!doctype html><p>first drop</p>")
    for _ in range(240):
        await response.write(b"<p>drop</p>")
        await asyncio.sleep(0.5)
    return response


async def _download(request: web.Request) -> web.StreamResponse:
    headers = {"Content-Disposition": "attachment; filename=x.bin"}
    return web.Response(body=b"x" * 1000, headers=headers)


async def _refused(request: web.Request) -> web.StreamResponse:
    return web.Response(status=403, body=b"x" * 1000)


async def _garbled(request: web.Request) -> web.StreamResponse:
    return web.Response(text="plain words", headers={"Content-Encoding": "gzip"})


async def _empty(request: web.Request) -> web.StreamResponse:
    return web.Response(status=204)


async def _echo(request: web.Request) -> web.StreamResponse:
    request.app[SEEN].append((request.path, dict(request.headers)))
    return web.json_response(dict(request.headers))


async def _hop(request: web.Request) -> web.StreamResponse:
    request.app[SEEN].append((request.path, dict(request.headers)))
    raise web.HTTPFound("/echo")


async def _loop(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/loop")


async def _seen(request: web.Request) -> web.StreamResponse:
    request.app[SEEN].append((request.path, dict(request.headers)))
    return web.Response(text="")


async def _status(request: web.Request) -> web.StreamResponse:
    code = int(request.match_info["code"])
    return web.Response(status=code, text=f"status {code}", headers={"X-Own": "own"})


#: Requests that came to the echoing pages: path and headers.
SEEN = web.AppKey("SEEN", list[tuple[str, dict[str, str]]])

#: Set, and "/on-demand" shows "shown words", until then a wait.
SHOW = web.AppKey("SHOW", asyncio.Event)


def create_hard_site() -> web.Application:
    app = web.Application()
    app[SEEN] = []
    app[SHOW] = asyncio.Event()
    app.add_routes(
        [
            web.get("/on-demand", _on_demand),
            web.get("/demanded", _demanded),
            web.get("/silent", _silent),
            web.get("/drip", _drip),
            web.get("/download", _download),
            web.get("/refused", _refused),
            web.get("/empty", _empty),
            web.get("/garbled", _garbled),
            web.get("/echo", _echo),
            web.get("/hop", _hop),
            web.get("/loop", _loop),
            web.get("/seen.{kind}", _seen),
            web.get("/status/{code}", _status),
            web.get("/{name}", _page),
        ]
    )
    return app
