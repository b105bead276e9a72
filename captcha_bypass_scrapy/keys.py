"""A request's identity: which site and proxy it belongs to, and which page is opened for it."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from scrapy.http.request import NO_CALLBACK
from tldextract import TLDExtract

if TYPE_CHECKING:
    from scrapy import Request

_PORTS = {"http": 80, "https": 443, "socks5": 1080}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy with its login: two logins at one proxy may leave by two addresses."""

    server: str
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.server

    def as_task(self) -> dict[str, str]:
        """Return the field `proxy` of POST /solve."""
        fields = {"server": self.server, "username": self.username, "password": self.password}
        return {name: value for name, value in fields.items() if value}


class SiteKey(NamedTuple):
    """What one clearance is good for: a site, as `scheme://host[:port]`, and a proxy."""

    origin: str
    proxy: Proxy | None

    def __str__(self) -> str:
        return f"{self.origin} through {self.proxy}" if self.proxy else self.origin

    def at(self, url: str) -> SiteKey:
        """Return the key of another URL's site through the same proxy."""
        return SiteKey(origin_of(url), self.proxy)

    @property
    def host(self) -> str:
        """The site's host name, in lower case, or its address without brackets."""
        return host_of(self.origin)

    @property
    def domain(self) -> str:
        """The registered domain that the site's host belongs to."""
        return registered_domain(self.host)


def host_of(url: str) -> str:
    """Return the host name of a URL, in lower case, or its address without brackets; empty: none."""
    return urlsplit(url).hostname or ""


def origin_of(url: str) -> str:
    """Return scheme://host, with the port where it is not the scheme's own."""
    parts = urlsplit(url)
    host = host_of(url)
    if ":" in host:
        host = f"[{host}]"
    port = parts.port
    own = port is None or port == _PORTS.get(parts.scheme)
    return f"{parts.scheme}://{host}" if own else f"{parts.scheme}://{host}:{port}"


def same_site(one: str, other: str) -> bool:
    """Whether a redirect between two URLs stays on one site: http to https, example.com to www."""
    first, second = host_of(one), host_of(other)
    return first == second or first.endswith("." + second) or second.endswith("." + first)


def proxy_of(request: Request) -> Proxy | None:
    """Return the proxy a request leaves by.

    HttpProxyMiddleware takes the login out of `meta["proxy"]` into a header, so both are read.
    """
    proxy = request.meta.get("proxy")
    if not proxy:
        return None
    text = str(proxy).removeprefix("//")
    parts = urlsplit(text if "://" in text else f"http://{text}")
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = parts.port or _PORTS.get(parts.scheme, 80)
    username, password = parts.username, parts.password
    if username is not None:
        login = unquote(username), unquote(password or "")
    else:
        login = _basic_login(request.headers.get(b"Proxy-Authorization"))
    return Proxy(f"{parts.scheme}://{host}:{port}", login[0] or None, login[1] or None)


def came_by(request: Request) -> tuple[str, ...]:
    """Return the URLs of the request's redirects and, at last, its own."""
    return (*(request.meta.get("redirect_urls") or ()), request.url)


def first_url(request: Request) -> str:
    """Return the URL that was asked for before any redirect."""
    return came_by(request)[0]


def home_url(request: Request) -> str:
    """Return the URL whose host a challenge stands for.

    A redirect within the site (http to https, to www) leads to where the clearance is needed; one
    to another site led to the vendor's page, and it is needed where the request came from.
    """
    first = first_url(request)
    return request.url if same_site(request.url, first) else first


def key_of(request: Request) -> SiteKey:
    """Return the key of the clearance that the request can use."""
    return SiteKey(origin_of(request.url), proxy_of(request))


def pages_to_open(request: Request, chosen: str | None) -> list[str]:
    """Return the URLs a browser opens to pass this request's challenge, until it met it.

    A redirect may have led to the challenge, and only the page that was asked for leads on. What
    a page loads (images, files) is no page itself: its Referer is, or the site's root. Where that
    is open, the challenge is met at the file alone.
    """
    if chosen:
        return [chosen]
    url = first_url(request)
    if request.callback is not NO_CALLBACK or urlsplit(url).path == "/robots.txt":
        return [url]
    referer = (request.headers.get(b"Referer") or b"").decode("latin-1")
    if not (referer and same_site(referer, url)):
        referer = urlsplit(url)._replace(path="/", query="", fragment="").geturl()
    return [referer, url] if referer != url else [url]


@dataclass(frozen=True, slots=True)
class Target:
    """What is solved for a challenged request, and what is opened for that.

    Attributes:
        key: The site and the proxy.
        urls: Where the request came by; they may need a clearance as well.
        page: The request's own page, as it would be asked for now.
        pages: The pages to open for a clearance, until one has met the challenge.
    """

    key: SiteKey
    urls: tuple[str, ...]
    page: str
    pages: tuple[str, ...]

    @property
    def opens_page(self) -> bool:
        """Whether it is the request's own page that is opened for a clearance."""
        return self.pages[0] == self.page


def target_of(request: Request, chosen: str | None) -> Target:
    """Return what is solved for a request that was challenged.

    Args:
        chosen: The page that the request's options name for it.
    """
    page = home_url(request)
    key = SiteKey(origin_of(page), proxy_of(request))
    return Target(key, came_by(request), page, tuple(pages_to_open(request, chosen)))


@cache
def _split() -> TLDExtract:
    # The list that comes with the package: nothing is fetched for this.
    return TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True)


def registered_domain(host: str) -> str:
    """Return the domain that was registered: example.co.uk for www.example.co.uk, or the address."""
    found = _split().extract_str(host)
    if found.suffix:
        return f"{found.domain}.{found.suffix}"
    return host if found.ipv4 or found.ipv6 else ".".join(host.split(".")[-2:])


def _basic_login(header: bytes | None) -> tuple[str, str]:
    scheme, _, value = (header or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return "", ""
    try:
        raw = base64.b64decode(value.strip(), validate=True)
    except binascii.Error:
        return "", ""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # HTTPPROXY_AUTH_ENCODING's default
    username, _, password = text.partition(":")
    return username, password
