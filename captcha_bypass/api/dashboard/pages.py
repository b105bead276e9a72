"""The dashboard's files, and the headers of all that it answers."""

from __future__ import annotations

from pathlib import Path

from aiohttp import hdrs, web

from captcha_bypass.api.dashboard.access import PATH
from captcha_bypass.errors import NotFound

_FOLDER = Path(__file__).with_name("static")
#: Nothing but our own files is loaded, and no script or style that stands in a page is run.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-DNS-Prefetch-Control": "off",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Kept, but asked for each time, which an ETag answers: an upgrade shows at once.
    hdrs.CACHE_CONTROL: "no-cache",
}
#: Of the files that a browser runs; for others Python knows it.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}


class DashboardPages:
    """The routes of the files."""

    def __init__(self) -> None:
        files = (path for path in _FOLDER.rglob("*") if path.is_file())
        self._files = {path.relative_to(_FOLDER).as_posix(): path for path in files}

    def routes(self) -> list[web.RouteDef]:
        """Return the route table."""
        return [
            web.get(PATH, self.page),
            web.get(f"{PATH}/", self.redirect),
            web.get(f"{PATH}/static/{{name:.+}}", self.file),
        ]

    async def page(self, request: web.Request) -> web.StreamResponse:
        """Return the page; all else of it is loaded by it."""
        return self._answer("index.html")

    async def redirect(self, request: web.Request) -> web.StreamResponse:
        """Lead to the page, which would look for its files one folder too deep."""
        return web.Response(status=308, headers={hdrs.LOCATION: f"..{PATH}"})

    async def file(self, request: web.Request) -> web.StreamResponse:
        """Return one of the files."""
        return self._answer(request.match_info["name"])

    def _answer(self, name: str) -> web.StreamResponse:
        path = self._files.get(name)
        if path is None:
            raise NotFound("No such file of the dashboard.")
        known = _TYPES.get(path.suffix)
        return web.FileResponse(path, headers={hdrs.CONTENT_TYPE: known} if known else None)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Keep browsers from making more of an answer than it is; for `on_response_prepare`."""
    if request.path == PATH or request.path.startswith(f"{PATH}/"):
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
