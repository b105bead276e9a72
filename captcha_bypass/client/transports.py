"""What the transports of httpx and of httpx2 have in common: all but the library that they are made of."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from captcha_bypass.client.actions import Ask, Content, Failed, Reply, Send, Wait
from captcha_bypass.client.address import Address
from captcha_bypass.client.connection import AsyncConnection, Connection
from captcha_bypass.client.looking import Look
from captcha_bypass.client.passing import Passing
from captcha_bypass.client.protocol import Protocol
from captcha_bypass.client.reading import AsyncRest, Rest, Start
from captcha_bypass.client.results import FetchResult
from captcha_bypass.client.steps import run, run_async
from captcha_bypass.client.visits import Visit

if TYPE_CHECKING:
    from captcha_bypass.client.bodies import PassingOptions

#: Names of the exceptions that the library itself raises; all other codes are ReadError, and all
#: trouble with the service is ConnectError.
_ERRORS = {
    "timeout": "ReadTimeout",
    "dns_error": "ConnectError",
    "connection_refused": "ConnectError",
    "tls_error": "ConnectError",
    "proxy_error": "ProxyError",
    "answer_unreadable": "DecodingError",
    "invalid_request": "LocalProtocolError",
}


class Passer:
    """Gets the requests of one transport past challenges.

    Args:
        library: The module httpx or httpx2.
        inner: The library's own transport, which sends.
        proxy: URL of the proxy that `inner` leaves by, with its login.
    """

    def __init__(
        self,
        library: Any,  # noqa: ANN401 - one of two modules that are alike
        inner: Any,  # noqa: ANN401
        service: str | None,
        api_key: str | None,
        solve_timeout: float,
        proxy: str | None,
        conditions: PassingOptions,
    ) -> None:
        self.library = library
        self.inner = inner
        self._proxy = proxy
        self._address = Address.of(service, api_key)
        self._passing = Passing(Protocol(self._address.shown), solve_timeout, **conditions)
        self._connection = Connection(self._address)
        self._async_connection = AsyncConnection(self._address)
        self._rest: Any = type("Rest", (Rest, library.SyncByteStream), {})
        self._async_rest: Any = type("AsyncRest", (AsyncRest, library.AsyncByteStream), {})

    def handle(self, request: Any) -> Any:  # noqa: ANN401 - the library's
        """Return the response to a request."""
        visit = self._visit(request)

        def do(step: object) -> Any:  # noqa: ANN401 - see Passing.steps
            if isinstance(step, Send):
                response = self.inner.handle_request(self._cleared(request, visit, step))
                return self._looked_at(response)
            if isinstance(step, Ask):
                return run(step.steps, self._connection.do)
            if isinstance(step, Content):
                return request.read()
            assert isinstance(step, Wait)  # noqa: S101 - there are no others
            with suppress(TimeoutError):
                return step.future.result(step.seconds)
            return None

        try:
            found = run(self._passing.steps(visit), do)
        except Failed as failed:
            raise self._error(failed, request) from failed.error
        return self._response(found)

    async def handle_async(self, request: Any) -> Any:  # noqa: ANN401 - the library's
        """Return the response to a request, on an event loop of asyncio."""
        visit = self._visit(request)

        async def do(step: object) -> Any:  # noqa: ANN401 - see Passing.steps
            if isinstance(step, Send):
                cleared = self._cleared(request, visit, step)
                return await self._looked_at_async(await self.inner.handle_async_request(cleared))
            if isinstance(step, Ask):
                return await run_async(step.steps, self._async_connection.do)
            if isinstance(step, Content):
                return await request.aread()
            assert isinstance(step, Wait)  # noqa: S101 - there are no others
            # Who is cancelled must not cancel what others wait for.
            waited = asyncio.shield(asyncio.wrap_future(step.future))
            with suppress(TimeoutError):
                async with asyncio.timeout(step.seconds):
                    return await waited
            return None

        try:
            found = await run_async(self._passing.steps(visit), do)
        except Failed as failed:
            raise self._error(failed, request) from failed.error
        return self._response(found)

    async def close_async(self) -> None:
        """Close the connections to the service."""
        await self._async_connection.close()

    def _visit(self, request: Any) -> Visit:  # noqa: ANN401
        headers: dict[str, str] = {}
        for name, value in request.headers.raw:
            known = headers.get(name.decode("latin-1"))
            text = value.decode("latin-1")
            headers[name.decode("latin-1")] = text if known is None else f"{known}, {text}"
        stream = request.stream
        repeatable = isinstance(stream, self.library.ByteStream)
        return Visit(
            request.method,
            str(request.url),
            headers,
            self._proxy,
            request.extensions.get("timeout", {}).get("read"),
            # Forms with files can be read again as well, their class is not public.
            repeatable or type(stream).__name__ == "MultipartStream",
        )

    def _cleared(self, request: Any, visit: Visit, step: Send) -> Any:  # noqa: ANN401
        if step.clearance is None:
            return request
        changed = visit.cleared(step.clearance)
        names = {name.lower() for name in changed}
        headers = [
            (name, value)
            for name, value in request.headers.raw
            if name.decode("latin-1").lower() not in names
        ]
        headers += [(name.encode(), value.encode("latin-1")) for name, value in changed.items()]
        return self.library.Request(
            request.method,
            request.url,
            headers=headers,
            stream=request.stream,
            extensions=request.extensions,
        )

    def _looked_at(self, response: Any) -> Reply:  # noqa: ANN401
        start, pieces = Start(_look(response)), iter(response.stream)
        try:
            while start.is_short():
                start.bytes += next(pieces)
        except StopIteration:
            start.ended = True
        except self.library.TransportError as error:
            start.error = error
        if start.settled:  # a challenge waits for a solve, and must hold no connection meanwhile
            response.stream.close()
            response = self._static(response, start)
        elif start.bytes or start.error is not None:
            response.stream = self._rest(start, pieces, response.stream)
        return Reply(response, start.challenge, start.look.set_cookies())

    async def _looked_at_async(self, response: Any) -> Reply:  # noqa: ANN401
        start, pieces = Start(_look(response)), aiter(response.stream)
        try:
            while start.is_short():
                start.bytes += await anext(pieces)
        except StopAsyncIteration:
            start.ended = True
        except self.library.TransportError as error:
            start.error = error
        if start.settled:
            await response.stream.aclose()
            response = self._static(response, start)
        elif start.bytes or start.error is not None:
            response.stream = self._async_rest(start, pieces, response.stream)
        return Reply(response, start.challenge, start.look.set_cookies())

    def _static(self, response: Any, start: Start) -> Any:  # noqa: ANN401
        """Return a response of the bytes that were read; a longer challenge is cut."""
        headers = [
            (name, value)
            for name, value in response.headers.raw
            if start.ended or name.lower() != b"content-length"
        ]
        stream = self.library.ByteStream(start.bytes)
        return self.library.Response(
            response.status_code, headers=headers, stream=stream, extensions=response.extensions
        )

    def _response(self, found: Any) -> Any:  # noqa: ANN401
        """Return what the browser got as a response; a response of the library's stays as it is."""
        if not isinstance(found, FetchResult):
            return found
        undone = {"content-encoding", "content-length"} if found.decoded is not None else set()
        headers = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in found.headers
            if name.lower() not in undone
        ]
        extensions = {"http_version": b"HTTP/1.1"}
        with suppress(ValueError):
            extensions["reason_phrase"] = HTTPStatus(found.status_code).phrase.encode()
        return self.library.Response(
            found.status_code,
            headers=headers,
            stream=self.library.ByteStream(found.content),
            extensions=extensions,
        )

    def _error(self, failed: Failed, request: Any) -> Exception:  # noqa: ANN401
        by_default = "ConnectError" if failed.error.about_service else "ReadError"
        kind = getattr(self.library, _ERRORS.get(failed.error.code, by_default))
        error: Exception = kind(str(failed.error), request=request)
        error.response = failed.response  # type: ignore[attr-defined]  # as requests has it
        return error


def _look(response: Any) -> Look:  # noqa: ANN401
    raw = response.headers.raw
    pairs = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in raw)
    return Look(response.status_code, pairs)
