"""An adapter for requests: `session.mount("https://", ClearanceAdapter("http://127.0.0.1:8191"))`."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

try:
    import requests
    from requests.adapters import HTTPAdapter
    from requests.utils import rewind_body, select_proxy
except ImportError as error:
    raise ImportError("ClearanceAdapter needs requests: pip install requests") from error

from captcha_bypass.client.actions import Ask, Content, Failed, Reply, Send, Wait
from captcha_bypass.client.address import Address
from captcha_bypass.client.connection import Connection
from captcha_bypass.client.looking import KEPT_BYTES, Look
from captcha_bypass.client.passing import Passing
from captcha_bypass.client.protocol import Protocol
from captcha_bypass.client.rereading import ReadAhead, response_of
from captcha_bypass.client.results import FetchResult
from captcha_bypass.client.steps import run
from captcha_bypass.client.visits import Visit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import PreparedRequest, Response

    from captcha_bypass.client.bodies import PassingOptions

__all__ = ["ClearanceAdapter"]

#: What requests itself raises, so that its users' handlers know it; all other codes are a connection
#: that failed.
_ERRORS: dict[str, type[requests.RequestException]] = {
    "timeout": requests.ReadTimeout,
    "tls_error": requests.exceptions.SSLError,
    "proxy_error": requests.exceptions.ProxyError,
    "answer_unreadable": requests.exceptions.ContentDecodingError,
    "invalid_request": requests.RequestException,
}


class ClearanceAdapter(HTTPAdapter):
    """Sends requests as requests does, and gets those past a challenge that meet one.

    A challenged answer leads to one solve for all threads that wait for that site and proxy. Then the
    request is sent again with the browser's cookies and user-agent; where the site refuses these, the
    browser sends it. If nothing helps, the site's own answer is what it was without the adapter.

    Args:
        service: The service's address; None: as the environment says (CAPTCHA_BYPASS_URL).
        api_key: None: as the environment says (CAPTCHA_BYPASS_API_KEY).
        solve_timeout: Seconds for a solve. The timeouts of a request are for its own bytes.
        conditions: When a page is through, as for `Client.solve`; by default when it is no challenge.
            And `reuse`: seconds that a clearance which another program got may be old.
        adapter: Arguments of HTTPAdapter.

    Raises:
        ServiceError: address or key cannot be right.
    """

    __attrs__ = [*HTTPAdapter.__attrs__, "_given"]  # noqa: RUF012 - this is how requests has it

    def __init__(
        self,
        service: str | None = None,
        api_key: str | None = None,
        *,
        solve_timeout: float = 60.0,
        adapter: Mapping[str, Any] | None = None,
        **conditions: Unpack[PassingOptions],
    ) -> None:
        self._given = (service, api_key, solve_timeout, conditions)
        self._begin()
        super().__init__(**(adapter or {}))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin anew where it was pickled, as HTTPAdapter does."""
        super().__setstate__(state)
        self._begin()

    def _begin(self) -> None:
        service, api_key, solve_timeout, conditions = self._given
        address = Address.of(service, api_key)
        self._service = Connection(address)
        self._passing = Passing(Protocol(address.shown), solve_timeout, **conditions)

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,  # noqa: ANN401 - as requests has it
        verify: Any = True,  # noqa: ANN401
        cert: Any = None,  # noqa: ANN401
        proxies: dict[str, str] | None = None,
    ) -> Response:
        """Send a request; called by requests.

        Raises:
            requests.RequestException: what HTTPAdapter raises. Where the service cannot be used, a
                ConnectionError with its address, whose `response` is the site's answer if there was one.
        """
        directly = partial(
            super().send,
            stream=stream,
            timeout=timeout,
            verify=verify,
            cert=cert,
            proxies=proxies,
        )
        visit = Visit(
            request.method or "GET",
            request.url or "",
            {name: _text(value) for name, value in request.headers.items()},
            select_proxy(request.url or "", proxies) or None,
            _read_timeout(timeout),
            _is_repeatable(request),
        )
        sent = _Request(self, request, visit, directly)
        try:
            found = run(self._passing.steps(visit), sent.do)
        except Failed as failed:
            kind = _ERRORS.get(failed.error.code, requests.ConnectionError)
            message, response = str(failed.error), failed.response
            raise kind(message, request=request, response=response) from failed.error
        if isinstance(found, FetchResult):
            found = self.build_response(request, response_of(found, visit.method))
        response = found
        response.request = request  # what was sent for it is nobody else's
        return response  # type: ignore[no-any-return]


class _Request:
    """Does the steps for one request."""

    def __init__(
        self,
        adapter: ClearanceAdapter,
        request: PreparedRequest,
        visit: Visit,
        directly: Any,  # noqa: ANN401
    ) -> None:
        self._adapter = adapter
        self._request = request
        self._visit = visit
        self._directly = directly
        self._sent = False

    def do(self, step: object) -> Any:  # noqa: ANN401 - see Passing.steps
        if isinstance(step, Send):
            return self._send(step)
        if isinstance(step, Ask):
            return run(step.steps, self._adapter._service.do)
        if isinstance(step, Content):
            return self._content()
        assert isinstance(step, Wait)  # noqa: S101 - there are no others
        with suppress(TimeoutError):
            return step.future.result(step.seconds)
        return None

    def _send(self, step: Send) -> Reply:
        request = self._request.copy()
        if step.clearance is not None:
            request.headers.update(self._visit.cleared(step.clearance))
        self._rewind()
        self._sent = True
        return _looked_at(self._adapter, self._request, self._directly(request))

    def _content(self) -> bytes:
        self._rewind()
        self._sent = True
        body: Any = self._request.body
        if body is None or isinstance(body, bytes):
            return body or b""
        if isinstance(body, str):
            return body.encode()
        if hasattr(body, "read"):
            read = body.read()
            return read.encode() if isinstance(read, str) else bytes(read)
        return b"".join(part.encode() if isinstance(part, str) else part for part in body)

    def _rewind(self) -> None:
        if self._sent and getattr(self._request.body, "read", None) is not None:
            rewind_body(self._request)


def _looked_at(adapter: HTTPAdapter, request: PreparedRequest, response: Response) -> Reply:
    """Say whether a response is a challenge; what was read of it for that is there again."""
    look = Look(response.status_code, response.raw.headers.items())
    start = ReadAhead(response.raw)
    while start.more and (wanted := look.wants(start.bytes)) > len(start.bytes):
        start.ahead(wanted - len(start.bytes))
    challenge = look.challenge(start.bytes)
    if challenge is not None:
        start.keep(KEPT_BYTES)  # it waits for a solve, and must hold no connection meanwhile
    if challenge is not None or start.touched:
        response = adapter.build_response(request, start.response(request.method))
    return Reply(response, challenge, look.set_cookies())


def _read_timeout(timeout: Any) -> float | None:  # noqa: ANN401 - all that requests takes
    found = timeout[1] if isinstance(timeout, tuple) else getattr(timeout, "read_timeout", timeout)
    return float(found) if isinstance(found, int | float) else None


def _is_repeatable(request: PreparedRequest) -> bool:
    body = request.body
    return (
        body is None
        or isinstance(body, bytes | str | bytearray)
        or (hasattr(body, "read") and isinstance(request._body_position, int))
    )


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
