"""The attacker's site: a page that tries everything, and pages that go elsewhere as a whole."""

from __future__ import annotations

import asyncio
import html
import json
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from tests.attacks.catalogue import Vector
from tests.attacks.kinds import KINDS
from tests.attacks.target import Target
from tests.support.service import eventually

_SCRIPT = (Path(__file__).parent / "attack.js").read_text()
#: Milliseconds after which an attempt is given up; on a busy machine frames take ten seconds.
_PATIENCE = 40_000
#: Seconds until the page that tries everything is told that nothing is new.
_NEWS_SECONDS = 5.0

_WORKERS = {
    "/shared-worker.js": "onconnect = ({ports: [port]}) => port.onmessage = ({data}) => fetch(data)"
    ".then((answer) => answer.text()).then((a) => port.postMessage(a), () => port.postMessage(''))",
    "/service-worker.js": "onmessage = ({data, ports: [port]}) => fetch(data)"
    ".then((answer) => answer.text()).then((a) => port.postMessage(a), () => port.postMessage(''))",
    "/importing-worker.js": "importScripts(new URL(location).searchParams.get('url'))",
}


class Site:
    """The site of one run against one target; `app` serves it."""

    def __init__(self, target: Target, vectors: Iterable[Vector]) -> None:
        self._target = target
        self._vectors = list(vectors)
        #: What was asked for of the site itself, to show that attacks are really tried.
        self.controls: set[str] = set()
        self.app = web.Application()
        self.app.add_routes(
            [
                web.get("/attack", self._attack),
                web.get("/seen", self._seen),
                web.route("*", "/control/{kind}", self._control),
                web.get("/hop", self._hop),
                web.get("/top/{status}", self._redirect),
                web.get("/refresh-header", self._refresh_header),
                web.get("/link-header", self._link_header),
                web.get("/csp", self._csp),
                web.get("/xslt", self._xslt),
                web.get("/rebinding", self._rebinding),
                web.get("/hit/{name}", self._own),
                *(web.get(path, self._worker) for path in _WORKERS),
                *(web.get(path, self._page) for path in _PAGES),
            ]
        )

    @property
    def expected_controls(self) -> set[str]:
        """What `controls` must hold when all attacks were really tried."""
        return {"hop"} | {vector.of for vector in self._vectors if vector.kind.control}

    async def until_tried(self, seconds: float) -> set[str]:
        """Wait until all attacks were tried; return those that were not in time."""
        deadline = asyncio.get_running_loop().time() + seconds
        while missing := self.expected_controls - self.controls:
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.05)
        return missing

    async def _attack(self, request: web.Request) -> web.Response:
        own = str(request.url.origin())
        only = request.query.get("only")
        attempts = [
            {"name": v.name, "kind": v.of, "url": self._target.url(v.name, v.host)}
            for v in self._vectors
            if only in (None, v.of)
        ]
        attempts += [
            {"name": f"control of {kind}", "kind": kind, "url": f"{own}/control/{kind}"}
            for kind in sorted(self.expected_controls - {"hop"})
            if only is None
        ]
        kinds = ",\n".join(f"{json.dumps(name)}: {kind.script}" for name, kind in KINDS.items())
        script = (
            f"const PATIENCE = {_PATIENCE};\n{_SCRIPT}\nconst kinds = {{{kinds}}};\n"
            f"attack({json.dumps(attempts)});"
        )
        return _html(f"<title>attack</title><script>{script}</script>")

    async def _seen(self, request: web.Request) -> web.Response:
        known = int(request.query["known"])
        await eventually(lambda: len(self.controls) > known, _NEWS_SECONDS)
        return web.json_response(sorted(self.controls))

    async def _control(self, request: web.Request) -> web.Response:
        self.controls.add(request.match_info["kind"])
        return web.Response(text="", content_type="text/plain")

    async def _hop(self, request: web.Request) -> web.Response:
        self.controls.add("hop")
        raise web.HTTPFound(request.query["url"])

    async def _redirect(self, request: web.Request) -> web.Response:
        status = int(request.match_info["status"])
        return web.Response(status=status, headers={"Location": request.query["url"]})

    async def _refresh_header(self, request: web.Request) -> web.Response:
        return _html("<p>soon</p>", {"Refresh": f"0;url={request.query['url']}"})

    async def _link_header(self, request: web.Request) -> web.Response:
        link = f"<{request.query['url']}>; rel=preload; as=image"
        return _html("<p>linked</p>", {"Link": link})

    async def _csp(self, request: web.Request) -> web.Response:
        policy = f"img-src 'none'; report-uri {request.query['url']}"
        return _html("<img src=/forbidden>", {"Content-Security-Policy": policy})

    async def _xslt(self, request: web.Request) -> web.Response:
        sheet = f"<?xml-stylesheet type='text/xsl' href='{html.escape(request.query['url'])}'?><a/>"
        return web.Response(text=sheet, content_type="application/xml")

    async def _rebinding(self, request: web.Request) -> web.Response:
        # Each answer ends its connection, so that the name is looked up again for the next.
        answer = _html(_REBINDING)
        answer.force_close()
        return answer

    async def _own(self, request: web.Request) -> web.Response:
        self.controls.add("rebinding")
        answer = web.Response(text="own")
        answer.force_close()
        return answer

    async def _worker(self, request: web.Request) -> web.Response:
        return web.Response(text=_WORKERS[request.path], content_type="text/javascript")

    async def _page(self, request: web.Request) -> web.Response:
        return _html(_PAGES[request.path].replace("URL", html.escape(request.query["url"])))


#: A page whose own name comes to stand for another address while it asks and asks.
_REBINDING = """<script>(async () => {
  let answer = "own";
  for (let i = 0; i < 15 && answer === "own"; i++) {
    answer = await fetch(`/hit/${location.hostname}`).then((a) => a.text(), () => "refused");
    await new Promise((done) => setTimeout(done, 50));
  }
  document.body.append(`${answer}, attacks are over`);
})()</script>"""

#: Pages that go to URL by themselves; the last one shows it in frames, beside one of its own.
_PAGES = {
    "/meta": "<meta http-equiv=refresh content='0;url=URL'>",
    "/script": "<body data-url='URL'><script>location.href = document.body.dataset.url</script>",
    "/form": "<form method=post action='URL'><input name=a></form>"
    "<script>document.forms[0].submit()</script>",
    "/frames": "<iframe srcdoc='a frame that can be read'></iframe>"
    "<iframe src='URL'></iframe><iframe src='view-source:URL'></iframe>"
    "<object data='URL' type='text/html'></object><embed src='URL' type='text/html'>"
    "<script src='URL'></script><link rel=stylesheet href='URL'>",
    "/link": "<a href='URL'>x</a><script>document.links[0].click()</script>",
}


def going_to(path: str, url: str) -> str:
    """Return the path of a page of the site that goes to `url`."""
    return f"{path}?url={quote(url, safe='')}"


def _html(body: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        text=f"<!doctype html><body>{body}", content_type="text/html", headers=headers
    )
