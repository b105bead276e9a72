"""Transports for httpx: `httpx.Client(transport=ClearanceTransport("http://127.0.0.1:8191"))`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

try:
    import httpx
except ImportError as error:
    raise ImportError("ClearanceTransport needs httpx: pip install httpx") from error

from captcha_bypass.client.transports import Passer

if TYPE_CHECKING:
    from captcha_bypass.client.bodies import PassingOptions

__all__ = ["AsyncClearanceTransport", "ClearanceTransport"]

#: All connections are kept that may be open, of httpx's 100. Of those that are too many to be kept the pool closes
#: also one that another thread has just been given, whose request then hangs until its timeout (httpcore#1110).
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=100)


class ClearanceTransport(httpx.BaseTransport):
    """Sends requests as httpx does, and gets those past a challenge that meet one.

    A challenged answer leads to one solve for all threads that wait for that site and proxy. Then the
    request is sent again with the browser's cookies and user-agent; where the site refuses these, the
    browser sends it. If nothing helps, the site's own answer is what it was without the transport.
    Where the service cannot be used, that is a httpx.ConnectError with its address, whose attribute
    `response` is the site's answer if there was one.

    Args:
        service: The service's address; None: as the environment says (CAPTCHA_BYPASS_URL).
        api_key: None: as the environment says (CAPTCHA_BYPASS_API_KEY).
        solve_timeout: Seconds for a solve. The timeouts of a request are for its own bytes.
        proxy: URL of the proxy that requests leave by, the browser's too.
        transport: What sends; None: httpx.HTTPTransport, through the proxy. It is closed with this one.
        conditions: When a page is through, as for `Client.solve`; by default when it is no challenge.
            And `reuse`: seconds that a clearance which another program got may be old.

    Raises:
        ServiceError: address or key cannot be right.
    """

    def __init__(
        self,
        service: str | None = None,
        api_key: str | None = None,
        *,
        solve_timeout: float = 60.0,
        proxy: str | None = None,
        transport: httpx.BaseTransport | None = None,
        **conditions: Unpack[PassingOptions],
    ) -> None:
        if transport is None:
            transport = httpx.HTTPTransport(proxy=proxy, limits=_LIMITS)
        self._inner = transport
        self._passer = Passer(
            httpx, self._inner, service, api_key, solve_timeout, proxy, conditions
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response to a request; called by httpx."""
        response: httpx.Response = self._passer.handle(request)
        return response

    def close(self) -> None:
        """Close the transport that sends."""
        self._inner.close()


class AsyncClearanceTransport(httpx.AsyncBaseTransport):
    """The same for httpx.AsyncClient, on an event loop of asyncio; the arguments are the same."""

    def __init__(
        self,
        service: str | None = None,
        api_key: str | None = None,
        *,
        solve_timeout: float = 60.0,
        proxy: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        **conditions: Unpack[PassingOptions],
    ) -> None:
        self._inner = httpx.AsyncHTTPTransport(proxy=proxy) if transport is None else transport
        self._passer = Passer(
            httpx, self._inner, service, api_key, solve_timeout, proxy, conditions
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response to a request; called by httpx."""
        response: httpx.Response = await self._passer.handle_async(request)
        return response

    async def aclose(self) -> None:
        """Close the transport that sends, and the connections to the service."""
        await self._inner.aclose()
        await self._passer.close_async()
