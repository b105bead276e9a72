"""From a request to a task for the service: the body of POST /solve."""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scrapy.settings.default_settings import DEFAULT_REQUEST_HEADERS as DEFAULT_HEADERS

from captcha_bypass.challenges import is_clearance
from captcha_bypass_scrapy.answers import Solution
from captcha_bypass_scrapy.challenged import Challenged
from captcha_bypass_scrapy.clearance import Clearance
from captcha_bypass_scrapy.cookies import (
    Cookie,
    choose,
    is_kept,
    parse_header,
    text_of,
)
from captcha_bypass_scrapy.keys import host_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scrapy import Request

    from captcha_bypass_scrapy.keys import Proxy
    from captcha_bypass_scrapy.options import Options

#: Set by the browser, about the transfer, or for the proxy; cookies have a field of their own.
_BROWSERS_OWN = frozenset(
    {"cookie", "host", "user-agent", "connection", "content-length", "transfer-encoding", "te"}
    | {"trailer", "upgrade", "proxy-authorization", "proxy-connection", "accept-encoding"}
    | {"content-type", "content-encoding", "expect", "if-modified-since", "if-none-match", "range"}
)

#: As many as the service takes.
_MOST_HEADERS = 50
_LONGEST_NAME = 256
_LONGEST_HEADER = 8192
#: RFC 9110 section 5.6.2, `token`.
_IN_HEADER_NAME = frozenset("!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters)
#: By these a script is told from a browser, and a challenge comes as JSON.
_ABOUT_ANSWER = frozenset({"accept", "x-requested-with"})


@dataclass(frozen=True, slots=True)
class Task:
    """A page for a browser to open.

    Attributes:
        body: The body of POST /solve.
        own: Names of the cookies that the request brought along, without the vendor's. What
            becomes of them is nobody else's.
    """

    url: str
    body: dict[str, Any]
    own: frozenset[str]

    def sharing(self, reuse: float | None) -> Task:
        """Return the task, to be answered with a clearance that is at most so old; None: it is not."""
        return self if reuse is None else replace(self, body={**self.body, "reuse": reuse})

    def met_challenge(self, solution: Solution, vendor: str) -> bool:
        """Whether the browser met the challenge, and not an open page of a site with few closed.

        It did when the service says so, or when a cookie of the vendor's is there that was not
        before.
        """
        before = {(cookie["name"], cookie["value"]) for cookie in self.body.get("cookies", ())}
        return bool(solution.get("solved")) or any(
            is_clearance(cookie["name"], vendor) and (cookie["name"], cookie["value"]) not in before
            for cookie in solution["cookies"]
        )

    def cookies_to_use(
        self, solution: Solution, vendor: str, choice: str | tuple[str, ...]
    ) -> tuple[Cookie, ...]:
        """Return the cookies for all requests of the site, without what this one brought along.

        Args:
            choice: The setting CAPTCHA_BYPASS_COOKIES.
        """
        got = (cookie for cookie in solution["cookies"] if cookie["name"] not in self.own)
        return choose(map(Cookie.from_result, got), vendor, choice)


def clearance_tasks(
    challenged: Challenged, old: Iterable[Cookie], *, proxy: Proxy | None, shares: bool = False
) -> list[Task]:
    """Return the pages to open for a clearance, one after the other until the challenge was met.

    Args:
        old: The cookies of the site's last clearance. One site may have several challenges, each
            with a cookie of its own: a new clearance must not lose the others.
        shares: Whether others may have what is got. What no vendor is known by is then left out: the
            service gives nobody the cookies that a task has brought along.
    """
    request, options = challenged.request, challenged.options
    own = own_cookies(request, challenged.challenge.vendor)
    kept = [cookie for cookie in old if not shares or is_clearance(cookie.name)]
    cookies = task_cookies(request, own, kept)
    return [
        Task(
            url,
            task_for(url, options, proxy, cookies, task_headers(request, url)),
            frozenset(own),
        )
        for url in challenged.target.pages
    ]


def page_task(challenged: Challenged, clearance: Clearance, *, proxy: Proxy | None) -> Task:
    """Return the request's own page, to be opened with a clearance."""
    request, url = challenged.request, challenged.target.page
    own = own_cookies(request, clearance.vendor)
    cookies = task_cookies(request, own, clearance.cookies)
    body = task_for(url, challenged.options, proxy, cookies, task_headers(request))
    return Task(url, body, frozenset(own))


def task_for(
    url: str,
    options: Options,
    proxy: Proxy | None,
    cookies: Iterable[dict[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the body of POST /solve."""
    task: dict[str, Any] = {
        "url": urlsplit(url)._replace(fragment="").geturl(),
        "timeout": options.timeout_seconds,
        **options.conditions(),
    }
    if options.screenshot:
        task["screenshot"] = True
    if options.on_challenge is not None:
        task["on_challenge"] = options.on_challenge
    if proxy is not None:
        task["proxy"] = proxy.as_task()
    if listed := list(cookies):
        task["cookies"] = listed
    if headers:
        task["headers"] = dict(headers)
    return task


def own_cookies(request: Request, vendor: str) -> dict[str, str]:
    """Return the cookies that a request brings along, such as a login, without the vendor's."""
    found = parse_header(text_of(request.headers.get(b"Cookie") or b""))
    return {
        name: value
        for name, value in found.items()
        if is_kept(name, value) and not is_clearance(name, vendor)
    }


def task_cookies(
    request: Request, own: Mapping[str, str], clearance: Iterable[Cookie]
) -> list[dict[str, Any]]:
    """Return the request's own cookies and the clearance's, as the browser shall send them."""
    ours = [cookie for cookie in clearance if cookie.live()]
    names = {cookie.name for cookie in ours}
    theirs = [
        {"name": name, "value": value, "url": request.url}
        for name, value in own.items()
        if name not in names
    ]
    return theirs + [cookie.as_task() for cookie in ours]


def task_headers(request: Request, url: str | None = None) -> dict[str, str]:
    """Return what the request says, such as its language or a key, for the browser to send.

    Scrapy's own defaults are not what the request asks for, and a browser has better ones.

    Args:
        url: A page that is opened for a clearance only; what asks for this request's own kind of
            answer stays out, and all where it is on another host.
    """
    headers: dict[str, str] = {}
    if url is not None and host_of(url) != host_of(request.url):
        return headers
    for raw, values in request.headers.items():
        name, text = raw.decode("latin-1"), b", ".join(values).decode("latin-1")
        lower = name.lower()
        if url is not None and lower in _ABOUT_ANSWER:
            continue
        if url is not None and lower == "referer" and url != request.url:
            continue
        if lower not in _BROWSERS_OWN and DEFAULT_HEADERS.get(name) != text and _fits(name, text):
            headers[name] = text
    return dict(list(headers.items())[:_MOST_HEADERS])


def _fits(name: str, text: str) -> bool:
    """Whether the service takes such a header; another would cost the request its solve."""
    named = 0 < len(name) <= _LONGEST_NAME and _IN_HEADER_NAME.issuperset(name)
    return named and len(text) <= _LONGEST_HEADER and text.isprintable()


def opens_own_page(challenged: Challenged) -> bool:
    """Whether the page that a clearance is got with is what the request wants.

    Only in mode html, and if the browser opens the request's own page, as it would be asked for.
    """
    request, options = challenged.request, challenged.options
    return (
        options.mode == "html"
        and request.method == "GET"
        and not options.url
        # A challenge's own reload does not send them again.
        and not task_headers(request)
        and challenged.target.opens_page
    )
