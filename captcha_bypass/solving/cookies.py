"""A context's cookies: how a task's are put into the browser, and how they are read out again.

Firefox keeps names and values as bytes. Its protocols give and take a name with each byte as a
character, and one of them encodes a value twice; here both are text.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from playwright.async_api import BrowserContext, Error, Page, Response, Route

from captcha_bypass.browsers.failures import is_abort
from captcha_bypass.wire.fields import host_of
from captcha_bypass.wire.models import Cookie
from captcha_bypass.wire.results import ResultCookie
from captcha_bypass.wire.task import Task

#: Hosts that are remembered of one context.
_MOST_HOSTS = 1000


class _Hosts:
    """Which hosts of a context were sites of their own, and which were parts of other sites' pages.

    The cookies of the latter are partitioned by the site they were part of, and the browser does
    not tell.
    """

    def __init__(self) -> None:
        self.own: dict[str, None] = {}
        #: Host of a part -> origin of the page it was in.
        self.within: dict[str, str] = {}

    def add_own(self, host: str) -> None:
        if len(self.own) < _MOST_HOSTS:
            self.own[host] = None

    def partition(self, domain: str) -> str | None:
        """Return the origin of the page that a cookie of this domain belongs to; None: none."""
        if any(_is_of(host, domain) or _is_same_site(host, domain) for host in self.own):
            return None
        return next((top for host, top in self.within.items() if _is_of(host, domain)), None)


#: A session's cookies live as long as its context, and longer than a jar.
_hosts: WeakKeyDictionary[BrowserContext, _Hosts] = WeakKeyDictionary()


class Jar:
    """The cookies of a page's context, for one task."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._hosts = _hosts.setdefault(page.context, _Hosts())
        page.on("response", self._on_response)

    def close(self) -> None:
        """Follow no longer: a session's page is used again."""
        self._page.remove_listener("response", self._on_response)

    async def fill(self, task: Task) -> None:
        """Set a task's cookies, before anything is opened.

        What the browser takes for no cookie is left out.
        """
        if not task.cookies:
            return
        given: list[Any] = [browser_cookie(cookie, task.url) for cookie in task.cookies]
        for cookie in given:
            if "partitionKey" not in cookie:
                self._hosts.add_own(cookie["domain"].removeprefix("."))
        context = self._page.context
        await context.add_cookies(given)
        beyond_ascii = [
            cookie
            for cookie in given
            if not cookie["value"].isascii() and "partitionKey" not in cookie
        ]
        if not beyond_ascii:
            return
        kept = {_identity(cookie): cookie.get("value") for cookie in await context.cookies()}
        altered = [
            cookie
            for cookie in beyond_ascii
            if kept.get(_identity(cookie), cookie["value"]) != cookie["value"]
        ]
        for cookie in altered:
            await self._set_as_a_site_does(cookie)

    async def read(self) -> list[ResultCookie]:
        """Return all cookies."""
        found: list[Any] = await self._page.context.cookies()
        for cookie in found:
            cookie["name"] = _text(cookie["name"])
            partition = self._hosts.partition(cookie["domain"].removeprefix("."))
            if partition is not None:
                cookie.setdefault("partitionKey", partition)
        return [ResultCookie.model_validate(cookie) for cookie in found]

    async def _set_as_a_site_does(self, cookie: dict[str, Any]) -> None:
        """Set a cookie by the headers of an empty answer of ours, which leaves the page as it is."""
        parts = [f"{cookie['name']}={cookie['value']}", f"Path={cookie['path']}"]
        parts.append(f"SameSite={cookie['sameSite']}")
        parts += [name for name in ("secure", "httpOnly") if cookie[name]]
        if cookie["domain"].startswith("."):
            parts.append(f"Domain={cookie['domain']}")
        headers = {"Set-Cookie": "; ".join(parts)}

        async def answer(route: Route) -> None:
            await route.fulfill(status=204, headers=headers)

        scheme = "https" if cookie["secure"] else "http"
        await self._page.route("**/*", answer)
        try:
            host = cookie["domain"].removeprefix(".")
            await self._page.goto(f"{scheme}://{host}/", wait_until="commit", timeout=0)
        except Error as error:
            if not is_abort(str(error)):
                raise
        finally:
            await self._page.unroute("**/*", answer)

    def _on_response(self, response: Response) -> None:
        request, host = response.request, host_of(response.url)
        try:
            main = self._page.main_frame
            is_main = request.frame == main and request.is_navigation_request()
        except Error:
            return  # a service worker's request has no frame
        if is_main:
            self._hosts.add_own(host)
        elif host not in self._hosts.within and len(self._hosts.within) < _MOST_HOSTS:
            origin = _origin(main.url)
            if origin is not None:
                self._hosts.within[host] = origin


def browser_cookie(cookie: Cookie, task_url: str) -> dict[str, Any]:
    """Give a cookie the place it needs; a host-only cookie's domain has no leading dot."""
    url = cookie.url or task_url
    fields = cookie.model_dump(exclude={"name", "url", "domain", "secure", "partitionKey"})
    partition = _origin(cookie.partitionKey or "")
    if partition is not None:
        fields["partitionKey"] = partition
        if cookie.sameSite == "Lax":
            # A part of another site's page cannot set such a one: it said nothing about SameSite,
            # which browsers tell as Lax.
            del fields["sameSite"]
    return {
        **fields,
        "name": cookie.name.encode("utf-8", "replace").decode("latin-1"),
        "domain": cookie.domain or host_of(url),
        "secure": url.startswith("https:") if cookie.secure is None else cookie.secure,
    }


def _identity(cookie: Any) -> tuple[str, str, str]:  # noqa: ANN401 - Playwright's, or ours for it
    return cookie["name"], cookie["domain"], cookie["path"]


def _text(name: str) -> str:
    try:
        return name.encode("latin-1").decode()
    except UnicodeError:
        return name


def _origin(url: str) -> str | None:
    """Return the origin of a page's URL; None if it has none, as `about:blank`."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    known = parts.scheme in ("http", "https") and parts.netloc
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if known else None


def _is_of(host: str, domain: str) -> bool:
    """Whether a host gets the cookies of a domain."""
    return host == domain or host.endswith("." + domain)


def _is_same_site(left: str, right: str) -> bool:
    """Whether two names share their last two labels: then they may be of one site."""
    ends = [host.rsplit(".", 2)[-2:] for host in (left, right)]
    return ends[0] == ends[1] and len(ends[0]) == 2 and not ends[0][1].isdigit()
