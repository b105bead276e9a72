"""A site whose pages give way to others, to files or to nothing."""

from __future__ import annotations

import asyncio

from aiohttp import web

CHALLENGE = """<!doctype html><title>Just a moment...</title><p>checking</p><script>
document.cookie = "clearance=1; path=/"; setTimeout(() => location.reload(), 300)</script>"""
#: Says at once that it is gone, and is not yet.
RELOADS = "<!doctype html><p>first</p><script>document.cookie = 'clearance=1'; %s</script>"
LEAVES = "<p>flash words</p><script>location = '/second'</script>"
AUTO = """<!doctype html><p>start</p><script>setTimeout(() => { location = "/file/x-own" }, 200);
setTimeout(() => document.body.append("after words"), 1600)</script>"""
REOPENS = """<p>old</p><script>onload = () => {
document.open(); document.write("<title>t</title><p>fresh words</p>") }</script>"""
BLOB = """<p>old</p><script>setTimeout(() => { location =
URL.createObjectURL(new Blob(["<p>made words</p>"], {type: "text/html"})) }, 200)</script>"""
SHOWN = """<!doctype html><title>t</title><style>body { display: contents }</style>
<input type=submit value="one"><input value="two"><textarea>three</textarea>
<select><option>zero<option selected>four</select><b>five</b> <span id=host><i>seven</i></span>
<script>const root = host.attachShadow({mode: "open"});
root.innerHTML = "six <slot></slot> <em style='text-transform: uppercase'>eight</em>";</script>
<div style="height: 4000px"></div><section style="content-visibility: auto"><p>ni\u200fne</p></section>"""
HIDDEN = """<!doctype html><title>t</title><input type=password value="unseen">
<input type=hidden value="unseen"><select><option>x<option>unseen</select>
<input type=submit style="display: none" value="unseen"><input type=checkbox value="unseen">
<section style="content-visibility: hidden">unseen</section><details><summary>x</summary>unseen</details>
<div id=host><p>unseen</p></div><script>const root = host.attachShadow({mode: "open"});
root.innerHTML = "<p style='display: none'>unseen</p><p style='visibility: hidden'>unseen</p>";</script>"""
LONG = "<!doctype html><p>news</p><script>window._cf_chl_opt = {};</script>" + "<p>text</p>" * 8000
#: Ten megabytes, most of which nobody has to paint.
BIG = (
    "<!doctype html><body>"
    + "<p>some text here</p>" * 10_000
    + f"<p title='{'x' * 8190}'>more</p>" * 1230
    + "<p>the end</p>"
)
SPINS = "<!doctype html><meta charset=%s><p>Привет</p><script>while (true) {}</script>"

PAGES = {
    "auto": AUTO,
    "reopens": REOPENS,
    "blob": BLOB,
    "leaves": LEAVES,
    "second": "<p>second</p>",
}
PAGES |= {"shown": SHOWN, "hidden": HIDDEN, "big": BIG, "long": LONG}


def _html(text: str, headers: dict[str, str], status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, headers=headers, content_type="text/html")


async def _page(request: web.Request) -> web.StreamResponse:
    return _html(PAGES[request.match_info["name"]], {"X-Own": request.match_info["name"]})


async def _file(request: web.Request) -> web.StreamResponse:
    """A file, behind a challenge unless its kind is `x-own`."""
    kind = request.match_info["kind"]
    if kind != "x-own" and "clearance" not in request.cookies:
        return _html(CHALLENGE, {"cf-mitigated": "challenge"}, 403)
    if kind == "nothing":
        return web.Response(status=204)
    if kind == "refused":
        return web.Response(status=404, body=b"{}", content_type="application/problem+json")
    disposition = {"Content-Disposition": "attachment"} if kind == "attachment" else {}
    return web.Response(body=b"d8:", content_type="application/x-bittorrent", headers=disposition)


async def _reload(request: web.Request) -> web.StreamResponse:
    """A page that reloads after so many milliseconds: 503 at first, then 200."""
    delay = int(request.match_info["delay"])
    if "clearance" in request.cookies:
        return _html("<p>second</p>", {"X-Own": "second"})
    move = f"setTimeout(() => location.reload(), {delay})" if delay else "location.reload()"
    return _html(RELOADS % move, {"X-Own": "first"}, 503)


async def _cached(request: web.Request) -> web.StreamResponse:
    headers = {"ETag": '"v1"'}
    if request.headers.get("If-None-Match") == '"v1"':
        return web.Response(status=304, headers=headers)
    headers |= {"Cache-Control": "no-cache", "X-Own": "stored"}
    return _html("<p>cached words</p>", headers)


async def _spins(request: web.Request) -> web.StreamResponse:
    charset = request.match_info["charset"]
    body = (SPINS % charset).encode(charset)
    return web.Response(body=body, headers={"Content-Type": "text/html"})


async def _spins_unended(request: web.Request) -> web.StreamResponse:
    """A page that spins, and whose source never ends."""
    response = web.StreamResponse(headers={"Content-Type": "text/html; charset=utf-8"})
    await response.prepare(request)
    await response.write((SPINS % "utf-8").encode() + b"<p>text</p>" * 1000)
    await asyncio.sleep(30)
    return response


def create_moving_site() -> web.Application:
    app = web.Application()
    app.add_routes(
        [
            web.get("/file/{kind}", _file),
            web.get("/reload/{delay}", _reload),
            web.get("/cached", _cached),
            web.get("/spins", _spins_unended),
            web.get("/spins/{charset}", _spins),
            web.get("/{name:" + "|".join(PAGES) + "}", _page),
        ]
    )
    return app
