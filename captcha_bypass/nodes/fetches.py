"""Requests through a browser go to the node that has the session of their site."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import BytesIO

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    hdrs,
    web,
)

from captcha_bypass.api.fetch_places import Fetching
from captcha_bypass.egress.upstream import Upstream
from captcha_bypass.errors import CaptchaBypassError, NotFound, TaskError, UnexpectedError
from captcha_bypass.fetching.messages import origin_of
from captcha_bypass.nodes import letters
from captcha_bypass.tasks.base import Claim, Homes
from captcha_bypass.wire.fetch import Fetched, FetchRequest
from captcha_bypass.wire.task import SessionKey

logger = logging.getLogger(__name__)

#: Of the route, below a node's URL.
PATH = "/nodes/fetch"
#: Seconds until a connection to another node stands.
CONNECT_SECONDS = 3.0
#: Bytes of a letter beside the body.
REST_BYTES = 2 * 1024 * 1024
_SCHEME = "Node"
#: The header with the node that a request is for. Where addresses are wrong, or were another node's before,
#: another one listens there.
_FOR = "X-For-Node"


class NodeFetches:
    """See api.fetch_places.Fetching: here, or by another node. Used as `async with`.

    Args:
        here: Sends those whose session is here.
        proxy_of: Returns the proxy that a request goes through.
        max_bytes: Of a request's body, and of an answer's.
    """

    def __init__(
        self,
        here: Fetching,
        homes: Homes,
        proxy_of: Callable[[FetchRequest], Upstream | None],
        *,
        max_bytes: int,
    ) -> None:
        self._here = here
        self._homes = homes
        self._proxy_of = proxy_of
        self._max_bytes = max_bytes + REST_BYTES
        self._client: ClientSession

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Be able to reach other nodes within the block."""
        timeout = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        async with ClientSession(timeout=timeout, trust_env=False) as self._client:
            yield

    async def fetch(self, request: FetchRequest, owner: str) -> Fetched:
        """See api.fetch_places.Fetching.

        Raises:
            TaskError: `session_lost`: the node died that had the session; `browser_unavailable`: no
                node has browsers.
        """
        home = home_of(request, owner, self._proxy_of(request))
        while True:
            claim = await self._homes.claim(home)
            if claim.is_lost:
                raise _lost()
            if not claim.node:
                raise TaskError("browser_unavailable", "No node of the fleet has browsers now.")
            if claim.node == self._homes.node:
                return await self._here.fetch(request, owner)
            if not claim.url:
                message = "Its session is on a node that others cannot reach; set --node-url there."
                raise TaskError("browser_unavailable", message)
            try:
                return await self._ask(claim, request, owner)
            except ConnectionError as error:
                logger.warning("a node cannot be reached: %s", error)
                await self._homes.leave_home(home, claim.node)
                if request.session is not None:
                    raise _lost("cannot be reached") from error

    async def _ask(self, node: Claim, request: FetchRequest, owner: str) -> Fetched:
        """Have another node send it.

        Raises:
            ConnectionError: it was not reached, and so not asked.
        """
        headers = {hdrs.AUTHORIZATION: f"{_SCHEME} {self._homes.secrets[0]}", _FOR: node.node}
        letter = letters.pack_request(request, owner)
        try:
            async with self._client.post(
                f"{node.url}{PATH}", data=BytesIO(letter), headers=headers
            ) as answer:
                found = await answer.read()
                status = answer.status
        except (ClientConnectorError, ConnectionTimeoutError) as error:
            raise ConnectionError(f"{node.url}: {type(error).__name__}") from error
        except ClientError as error:
            # It has gone with the request, which the site may have seen.
            raise _lost() from error
        if status == web.HTTPMisdirectedRequest.status_code:
            raise ConnectionError(f"{node.url}: another node answers there; see --node-url")
        try:
            if status == web.HTTPOk.status_code:
                return letters.unpack_answer(found)
            if status == web.HTTPBadGateway.status_code:
                raise letters.error_of(json.loads(found)["error"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _strange(status) from error
        raise _strange(status)

    def routes(self) -> list[web.RouteDef]:
        """Return the route by which other nodes ask this one."""
        return [web.post(PATH, self._asked)]

    def is_peer(self, request: web.Request) -> bool:
        """Whether a request is another node's."""
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if request.path != PATH or scheme != _SCHEME:
            return False
        told = token.encode(errors="surrogatepass")
        return any(hmac.compare_digest(told, known.encode()) for known in self._homes.secrets)

    async def _asked(self, request: web.Request) -> web.Response:
        if not self.is_peer(request):
            raise NotFound("No such route; /openapi.json lists them.")
        # Older nodes do not say whom they mean.
        if request.headers.get(_FOR, self._homes.node) != self._homes.node:
            raise web.HTTPMisdirectedRequest
        try:
            asked, owner = letters.unpack_request(await self._letter(request))
            found = await self._here.fetch(asked, owner)
        except ValueError:
            return web.json_response({"error": {"code": "internal_error"}}, status=400)
        except CaptchaBypassError as error:
            return web.json_response({"error": letters.tell(error)}, status=502)
        return web.Response(body=letters.pack_answer(found))

    async def _letter(self, request: web.Request) -> bytes:
        letter = bytearray()
        async for chunk in request.content.iter_any():
            letter += chunk
            if len(letter) > self._max_bytes:
                raise ValueError("too long")
        return bytes(letter)


def home_of(request: FetchRequest, owner: str, proxy: Upstream | None) -> str:
    """Return what the session of a request goes by among nodes."""
    if request.session is not None:
        return SessionKey(owner, request.session).home
    through = None if proxy is None else [proxy.scheme, str(proxy.destination), proxy.username]
    identity = json.dumps([owner, request.jar, origin_of(request.url), through])
    return f"fetch:{hashlib.sha256(identity.encode()).hexdigest()}"


def _strange(status: int) -> UnexpectedError:
    message = (
        f"A node answered with {status}, and not as nodes do; are their versions alike, and "
        "--queue-secret?"
    )
    return UnexpectedError(message)


def _lost(why: str = "died") -> TaskError:
    message = f"The node that had the session {why}; its cookies and logins are gone."
    return TaskError("session_lost", message)
