"""Who may use the API: whoever has a key or, where none is set, whoever asks this very machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hmac import compare_digest

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware
from pydantic import SecretStr

from captcha_bypass.api.errors import Handler
from captcha_bypass.config import Config, is_loopback
from captcha_bypass.errors import HostNotAllowed, Unauthorized

_OWNER = web.RequestKey("OWNER", str)
#: Who has no key, where keys are asked for: owns nothing, and sees nothing.
_NOBODY = "nobody"
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([0-9a-z._-]+))(?::[0-9]*)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class KeyPlace:
    """Where a request may have its key that cannot set a header.

    Attributes:
        find: Returns what may be a key of those that are there.
        hint: What who has none could do, after "or".
    """

    find: Callable[[web.Request], list[str]]
    hint: str


def guards(
    config: Config,
    *,
    is_open: Callable[[web.Request], bool],
    elsewhere: KeyPlace,
    by_cookie: Callable[[web.Request], int | None],
) -> list[Middleware]:
    """Return what lets only those requests through that may use the API.

    Args:
        is_open: Whether anybody may have it who reaches the port.
        elsewhere: Where a key may be, beside the headers.
        by_cookie: Returns the place of the key that a request's cookie stands for, if any.
    """
    if config.api_keys:
        return [_key_guard(config.api_keys, is_open, elsewhere, by_cookie)]
    # Beyond loopback the names by which clients call this machine are not known.
    return [_host_guard] if config.loopback_only else []


def which_key(presented: str, keys: Iterable[SecretStr]) -> int | None:
    """Return the place of a key among all, in a time that does not tell how close it came."""
    # Any text may come in, lone surrogates too, and compare_digest takes no str but ASCII.
    given = presented.encode(errors="surrogatepass")
    found: int | None = None
    for place, key in enumerate(keys):  # all of them, whichever it is
        if compare_digest(given, key.get_secret_value().encode()):
            found = place
    return found


def owner_of(request: web.Request) -> str:
    """Return whose the tasks and sessions of a request are: one name for each API key.

    Without keys all are nobody's, and everybody's: "".
    """
    owner: str = request.get(_OWNER, "")
    return owner


def is_known(request: web.Request) -> bool:
    """Whether a request came with an API key that counts, or with what stands for one."""
    return owner_of(request) not in ("", _NOBODY)


def _key_guard(
    keys: tuple[SecretStr, ...],
    is_open: Callable[[web.Request], bool],
    elsewhere: KeyPlace,
    by_cookie: Callable[[web.Request], int | None],
) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = [*_in_headers(request), *elsewhere.find(request)]
        places = (which_key(presented, keys) for presented in given)
        place = next((place for place in places if place is not None), None)
        if place is None:
            place = by_cookie(request)
        if place is None and not is_open(request):
            raise Unauthorized(
                "An API key is needed: send Authorization: Bearer KEY or X-API-Key: KEY, "
                f"or {elsewhere.hint}."
            )
        request[_OWNER] = _NOBODY if place is None else f"key {place}"
        return await handler(request)

    return guard


def _in_headers(request: web.Request) -> list[str]:
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    bearer = [token.strip()] if scheme.lower() == "bearer" else []
    return [*bearer, *request.headers.getall("X-API-Key", [])]


@web.middleware
async def _host_guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse the requests of web pages whose own name was made to resolve to this machine.

    For their browser such a page and this service are one origin: nothing else stands in its way.
    """
    hosts = request.headers.getall(hdrs.HOST, [])
    if len(hosts) != 1 or not _is_local(hosts[0]):
        raise HostNotAllowed(
            "Without an API key only requests to this machine's own names are answered: "
            "use http://127.0.0.1:PORT, or start the service with --api-key."
        )
    return await handler(request)


def _is_local(host: str) -> bool:
    """Whether a Host header names this machine, with any port."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = (match[1] or match[2]).lower().removesuffix(".")
    # Nobody can own a name below localhost (RFC 6761), so no page of a stranger can be there;
    # browsers resolve them all to loopback, and development proxies like to use them.
    return is_loopback(name) or name.endswith(".localhost")
