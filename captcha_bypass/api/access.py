"""Who may use the API: whoever has a key or, where none is set, whoever asks this very machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hmac import compare_digest

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware
from pydantic import SecretStr

from captcha_bypass.api.errors import Handler, error_middleware
from captcha_bypass.api.flaresolverr_answers import FLARESOLVERR_PATHS, V1_PATH
from captcha_bypass.api.refusals import Refusals
from captcha_bypass.config import Config, is_loopback
from captcha_bypass.errors import HostNotAllowed, Unauthorized

_OWNER = web.RequestKey("OWNER", str)
#: What anybody may ask who reaches the port.
OPEN_PATHS = frozenset({"/health", "/live"})

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([0-9a-z._-]+))(?::[0-9]*)?", re.ASCII | re.IGNORECASE)


def middlewares(config: Config, refusals: Refusals | None = None) -> list[Middleware]:
    """Return what every request passes before its route, the outermost first.

    Args:
        refusals: Told of each request that is refused.
    """
    errors = error_middleware(refusals or Refusals())
    if config.api_keys:
        return [errors, _key_guard(config.api_keys)]
    # Beyond loopback the names by which clients call this machine are not known.
    return [errors, _host_guard] if config.loopback_only else [errors]


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


def _key_guard(keys: tuple[SecretStr, ...]) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        # Health checks of containers and balancers have no key.
        is_open = request.path in OPEN_PATHS and request.method in ("GET", "HEAD")
        places = (which_key(presented, keys) for presented in _presented(request))
        place = next((place for place in places if place is not None), None)
        if place is None and not is_open:
            raise Unauthorized(
                "An API key is needed: send Authorization: Bearer KEY or X-API-Key: KEY, "
                "or open /v1?key=KEY."
            )
        request[_OWNER] = f"key {place}"
        return await handler(request)

    return guard


def _presented(request: web.Request) -> list[str]:
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    bearer = [token.strip()] if scheme.lower() == "bearer" else []
    # FlareSolverr's clients know no keys, but take any URL; all they do is to put /v1 at its end.
    in_url = request.query.getall("key", []) if request.path in FLARESOLVERR_PATHS else []
    in_url += [key.removesuffix(V1_PATH) for key in in_url]
    return [*bearer, *request.headers.getall("X-API-Key", []), *in_url]


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
