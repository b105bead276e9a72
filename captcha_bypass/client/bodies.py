"""From arguments to the bodies of POST /solve and POST /fetch."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING, Any, Literal, TypedDict
from urllib.parse import unquote, urlsplit

from captcha_bypass.client.cookies import Cookie, of_jar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Texts = str | Sequence[str]
    Cookies = CookieJar | Iterable[Cookie | Mapping[str, Any]]
    Proxy = str | Mapping[str, Any]

_PORTS = {"http": 80, "https": 443, "socks5": 1080}


class Conditions(TypedDict, total=False):
    """When a page counts as through; `no_challenge` where nothing else is said."""

    success_text: Texts
    success_selector: Texts
    no_challenge: bool


class PassingOptions(Conditions, total=False):
    """How an adapter or transport gets past a challenge.

    `reuse` is the age, in seconds, that another program's clearance may have; without it the program
    shares none.
    """

    reuse: float | None


class SolveOptions(Conditions, total=False):
    """What POST /solve takes beside URL and timeout; docs/api.md explains the fields.

    `proxy` may also be a URL with a login in it, `cookies` a jar.
    """

    proxy: Proxy | None
    cookies: Cookies
    headers: Mapping[str, str]
    screenshot: bool
    block: Sequence[str]
    session: str
    on_challenge: Literal["report", "wait"] | None
    reuse: float | None


class FetchOptions(Conditions, total=False):
    """What POST /fetch takes beside URL, method, body and timeout; docs/fetch.md explains the fields.

    `proxy` may also be a URL with a login in it, `cookies` and `first_cookies` a jar.
    """

    proxy: Proxy | None
    cookies: Cookies
    first_cookies: Cookies
    headers: Mapping[str, str]
    session: str
    jar: str
    on_challenge: Literal["report", "wait"] | None


def solve_body(url: str, timeout: float, options: Mapping[str, object]) -> dict[str, Any]:
    """Return the body of POST /solve."""
    body = {"url": url, "timeout": timeout, **_plain(options)}
    if not {"success_text", "success_selector", "no_challenge"} & set(body):
        body["no_challenge"] = True
    return body


def fetch_body(
    url: str,
    method: str,
    content: bytes | str | None,
    timeout: float,
    options: Mapping[str, object],
) -> dict[str, Any]:
    """Return the body of POST /fetch."""
    body = {"url": url, "method": method, "timeout": timeout, **_plain(options)}
    if content:
        raw = content.encode() if isinstance(content, str) else content
        body["body_base64"] = b64encode(raw).decode()
    return body


def proxy_fields(proxy: Proxy) -> dict[str, Any]:
    """Return the field `proxy` for a proxy's URL, whose login may be in it.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(proxy, str):
        return dict(proxy)
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if not parts.hostname:
        raise ValueError("a proxy must be given as scheme://host:port")
    scheme = "socks5" if parts.scheme == "socks5h" else parts.scheme
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = parts.port or _PORTS.get(scheme, 80)
    fields = {"server": f"{scheme}://{host}:{port}"}
    if parts.username:
        fields["username"] = unquote(parts.username)
    if parts.password:
        fields["password"] = unquote(parts.password)
    return fields


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options as JSON, without those that are None."""
    found = {name: value for name, value in options.items() if value is not None}
    for name in ("cookies", "first_cookies"):
        if name in found:
            found[name] = _cookies(found[name])
    for name in ("success_text", "success_selector"):
        # What is neither is refused by the service, by name.
        if isinstance(found.get(name), Iterable) and not isinstance(found[name], str):
            found[name] = list(found[name])
    if "proxy" in found:
        found["proxy"] = proxy_fields(found["proxy"])
    if "headers" in found:
        found["headers"] = dict(found["headers"])
    if "block" in found:
        found["block"] = list(found["block"])
    return found


def _cookies(cookies: Cookies) -> list[dict[str, Any]]:
    if isinstance(cookies, CookieJar):
        return of_jar(cookies)
    return [item.fields() if isinstance(item, Cookie) else dict(item) for item in cookies]
