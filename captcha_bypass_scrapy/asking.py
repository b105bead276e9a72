"""From a request to the body of POST /fetch."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scrapy.settings.default_settings import DEFAULT_REQUEST_HEADERS as DEFAULT_HEADERS

from captcha_bypass_scrapy.keys import origin_of
from captcha_bypass_scrapy.site_cookies import jar_of

if TYPE_CHECKING:
    from scrapy import Request

    from captcha_bypass_scrapy.keys import Proxy
    from captcha_bypass_scrapy.options import Options
    from captcha_bypass_scrapy.settings import OnChallenge
    from captcha_bypass_scrapy.site_cookies import SplitCookies

#: The browser sets them by itself, or, as the user-agent, the clearance is bound to them; cookies have
#: a field of their own. https://fetch.spec.whatwg.org/#forbidden-request-header
_BROWSERS_OWN = frozenset(
    {
        *("accept-charset", "accept-encoding", "connection", "content-length", "cookie", "cookie2"),
        *("access-control-request-headers", "access-control-request-method", "date", "dnt"),
        *("expect", "host", "keep-alive", "origin", "set-cookie", "te", "trailer"),
        *("transfer-encoding", "upgrade", "user-agent", "via"),
    }
)
_BROWSERS_PREFIXES = ("proxy-", "sec-")
#: Characters of a jar's name that the service takes.
_LONGEST_JAR = 128


def fetch_body(
    request: Request,
    options: Options,
    cookies: SplitCookies,
    *,
    timeout: float,
    proxy: Proxy | None,
    crawl: str,
    on_challenge: OnChallenge | None = None,
) -> dict[str, Any]:
    """Return the body of POST /fetch.

    Args:
        timeout: Seconds to the last byte.
        crawl: Names the crawl. No other one is to have its cookies, and each of its cookie jars has a
            session of its own.
        on_challenge: Whether a person is waited for; None: as the service's settings say. Not by a request
            that a closing spider has to wait for.
    """
    body: dict[str, Any] = {
        "url": urlsplit(request.url)._replace(fragment="").geturl(),
        "method": request.method,
        "headers": fetch_headers(request),
        "timeout": timeout,
        "jar": _jar(crawl, jar_of(request)),
    }
    conditions = options.conditions()
    conditions.pop("block", None)  # no page is rendered but that of a solve
    body |= conditions
    if on_challenge is not None:
        body["on_challenge"] = on_challenge
    if request.body:
        body["body_base64"] = b64encode(request.body).decode()
    if cookies.own:
        body["cookies"] = cookies.own
    if cookies.site:
        body["first_cookies"] = cookies.site
    if proxy is not None:
        body["proxy"] = proxy.as_task()
    return body


def fetch_headers(request: Request) -> dict[str, str]:
    """Return the request's headers, without those that browsers set by themselves.

    A Referer of another site is left out, as browsers send none from there.
    """
    headers: dict[str, str] = {}
    for raw, values in request.headers.items():
        name, text = raw.decode("latin-1"), b", ".join(values).decode("latin-1")
        lower = name.lower()
        if lower in _BROWSERS_OWN or lower.startswith(_BROWSERS_PREFIXES):
            continue
        if lower == "accept-language" and DEFAULT_HEADERS.get(name) == text:
            continue  # nobody has asked for that, and the browser has one that fits it
        if lower == "referer" and not _is_of_site(text, request.url):
            continue
        headers[name] = text
    return headers


def _is_of_site(referer: str, url: str) -> bool:
    try:
        return origin_of(referer) == origin_of(url)
    except ValueError:  # a port or an address that is none
        return False


def _jar(crawl: str, jar: str) -> str:
    """Return the name of a jar for the service; of a long one, or one with odd characters, a digest."""
    name = f"{crawl}:{jar}"
    if len(name) <= _LONGEST_JAR and name.isprintable():
        return name
    return f"{crawl}:{hashlib.sha256(jar.encode('utf-8', 'replace')).hexdigest()}"
