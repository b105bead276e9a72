"""Who may use the dashboard: its cookie, what the cookie is good for, and pages of other origins."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from captcha_bypass.api.dashboard.logins import LOGIN_SECONDS, Login, Logins
from captcha_bypass.api.errors import Handler
from captcha_bypass.config import Config
from captcha_bypass.errors import DashboardClosed, OriginNotAllowed

PATH = "/dashboard"
LOGIN, LOGOUT, API = f"{PATH}/login", f"{PATH}/logout", f"{PATH}/api/"
SESSION = f"{API}session"
#: What the cookie is good for, beside the dashboard's own API.
_ACTIONS = re.compile(r"DELETE /(?:task|sessions)/[^/]+|(?:GET|HEAD) /task/[^/]+/evidence")
_READING = frozenset({"GET", "HEAD"})
_SITE = "Sec-Fetch-Site"
_PORT = re.compile(r":([0-9]{1,5})", re.ASCII)


class DashboardAccess:
    """The rules of the dashboard; those of keys and hosts are in api.access.

    Args:
        logins: Ended by whoever made them.
    """

    def __init__(self, config: Config, logins: Logins) -> None:
        self._is_closed = not (config.api_keys or config.loopback_only)
        self.logins = logins
        #: Beside the one that a request names; a proxy may change that.
        self._own_host = urlsplit(config.dashboard_url or "").netloc.lower()

    def is_open(self, request: web.Request) -> bool:
        """Whether anybody may have it who reaches the port: there is no secret in the page itself."""
        path = request.path
        if request.method in _READING:
            own = path == PATH or path.startswith(f"{PATH}/")
            return own and (path == SESSION or not path.startswith(API))
        return request.method == "POST" and path in (LOGIN, LOGOUT)

    def key_place(self, request: web.Request) -> int | None:
        """Return the place of the key that a request's cookie stands for.

        Raises:
            OriginNotAllowed: the request changes something, or is a WebSocket, and it is not sure that
                our page has sent it.
        """
        login = self.login_of(request)
        return None if login is None else login.place

    def login_of(self, request: web.Request) -> Login | None:
        """Return the login of a request, if its cookie counts here; raises as `key_place` does."""
        if not (request.path.startswith((API, LOGOUT)) or _ACTIONS.fullmatch(_line(request))):
            return None
        login = self.logins.find(request.cookies.get(cookie_name(request), ""))
        if login is not None and _needs_proof(request) and not self._is_ours(request):
            raise OriginNotAllowed(_NOT_OURS)
        return login

    def log_in(self, request: web.Request, response: web.Response, place: int) -> None:
        """Let the sender of a request in, by a cookie in the response, as a key."""
        response.set_cookie(
            cookie_name(request),
            self.logins.begin(place),
            max_age=int(LOGIN_SECONDS),
            path="/",
            secure=_by_tls(request),
            httponly=True,
            samesite="Strict",
        )

    def log_out(self, request: web.Request, response: web.Response) -> None:
        """End the login of a request, if it has one."""
        if self.login_of(request) is not None:
            self.logins.end(request.cookies[cookie_name(request)])
        response.del_cookie(cookie_name(request), path="/", httponly=True, samesite="Strict")

    def middleware(self) -> Middleware:
        """Return what refuses requests for the dashboard, whatever key they have."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path == PATH or request.path.startswith(f"{PATH}/"):
                if self._is_closed:
                    raise DashboardClosed(
                        "Others can reach this service, and it has no API key: start it with "
                        "--api-key to have a dashboard, or with --host 127.0.0.1."
                    )
                own = request.path.startswith((API, LOGIN, LOGOUT))
                if own and self._is_from_elsewhere(request):
                    raise OriginNotAllowed(_NOT_OURS)
            return await handler(request)

        return guard

    def _is_from_elsewhere(self, request: web.Request) -> bool:
        """Whether a browser says that another origin's page has sent it; other programs say nothing."""
        if request.headers.get(_SITE) == "none":
            return False  # it was typed into the address bar
        said = _SITE in request.headers or hdrs.ORIGIN in request.headers
        return said and not self._is_ours(request)

    def _is_ours(self, request: web.Request) -> bool:
        """Whether a browser says that our own page has sent it.

        No script can set either header. The first is the browser's own judgement, but only over TLS
        and on loopback, and not every browser's for a WebSocket; an origin has to be compared.
        """
        site = request.headers.get(_SITE)
        if site is not None:
            return site == "same-origin"
        scheme, _, host = request.headers.get(hdrs.ORIGIN, "").lower().partition("://")
        own = {request.headers.get(hdrs.HOST, "").lower(), self._own_host} - {""}
        return scheme in ("http", "https") and host in own


_NOT_OURS = (
    "Only the dashboard's own page may ask this. Behind a proxy: let it pass the Host header on, or "
    "say --dashboard-url."
)


def cookie_name(request: web.Request) -> str:
    """Return the name of our cookie; other services of the same host are other ports, not sites."""
    port = _PORT.search(request.headers.get(hdrs.HOST, "").rpartition("]")[2])
    return f"captcha_bypass_{port[1]}" if port else "captcha_bypass"


def _line(request: web.Request) -> str:
    return f"{request.method} {request.path}"


def _needs_proof(request: web.Request) -> bool:
    """Whether a request changes something, or may later on."""
    return request.method not in _READING or hdrs.UPGRADE in request.headers


def _by_tls(request: web.Request) -> bool:
    """Whether the browser speaks TLS, with us or with a proxy before us."""
    return (
        request.secure
        or request.headers.get("X-Forwarded-Proto", "").lower() == "https"
        or request.headers.get(hdrs.ORIGIN, "").startswith("https://")
    )
