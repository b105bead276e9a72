"""Commands of which forks of FlareSolverr send the body as it is, or want the answer's bytes: by our /fetch."""

from __future__ import annotations

import asyncio
import logging
from binascii import b2a_base64
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from captcha_bypass.api.fetch import Fetching, Report
from captcha_bypass.api.flaresolverr.commands import FAILED, Refused, invalid_parameter
from captcha_bypass.config import Config
from captcha_bypass.errors import CaptchaBypassError, InvalidRequest, RequestError, TooManyWaiting
from captcha_bypass.tasks.base import JsonDict
from captcha_bypass.wire.fetch import Fetched, FetchRequest

logger = logging.getLogger(__name__)

#: Bytes of an answer from which it is made text in a thread: below, that takes about 0.1 ms.
THREAD_BYTES = 64 * 1024


class Fetches:
    """Sends what commands ask for.

    Args:
        report: See FetchApi.
    """

    def __init__(self, config: Config, fetching: Fetching, report: Report) -> None:
        self._most = config.max_waiting
        self._fetching = fetching
        self._report = report
        self._running = 0

    async def send(self, request: FetchRequest, owner: str) -> Fetched:
        """Return what a site answers, whatever its status.

        Raises:
            Refused: there is no answer.
            RequestError: the service takes no more requests.
        """
        with self._place():
            clock = asyncio.get_running_loop().time
            started, outcome, found = clock(), "internal_error", None
            try:
                found = await self._fetching.fetch(request, owner)
                outcome = "answered"
                return found
            except asyncio.CancelledError:
                outcome = "cancelled"
                raise
            except InvalidRequest as error:
                outcome = error.code
                raise invalid_parameter(error.fields[0]) from None
            except RequestError as error:
                outcome = error.code
                raise
            except CaptchaBypassError as error:
                outcome = error.code
                late = f"Timeout after {request.timeout} seconds."
                raise Refused(FAILED + (late if error.code == "timeout" else str(error))) from error
            finally:
                self._tell(request, outcome, found, clock() - started)

    def _tell(
        self, request: FetchRequest, outcome: str, found: Fetched | None, seconds: float
    ) -> None:
        received = 0 if found is None else len(found.body)
        self._report(outcome, seconds, len(request.content or b""), received)
        told = {"host": request.host, "outcome": outcome, "seconds": round(seconds, 4)}
        if found is not None:
            told |= {"status": found.status, "bytes": received}
            told |= {"page_seconds": round(found.page_seconds, 4)}
        logger.debug("fetch ended", extra=told)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._running >= self._most:
            raise TooManyWaiting(
                f"{self._running} requests wait for sites; try again later or raise --max-waiting."
            )
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1


async def solution(found: Fetched, *, only_cookies: bool, as_base64: bool) -> JsonDict:
    """Turn a site's answer into a `solution`.

    Args:
        as_base64: Give the body's bytes, and not what they are as UTF-8.
    """
    told: JsonDict = {
        "url": found.url,
        "status": found.status,
        "cookies": [],  # the browser keeps them; tasks of the same session have them all
        "userAgent": found.user_agent,
        "turnstile_token": None,
    }
    if only_cookies:
        return told
    told["headers"] = _headers(found.headers)
    if len(found.body) < THREAD_BYTES:
        told["response"] = _text(found.body, as_base64=as_base64)
    else:
        told["response"] = await asyncio.to_thread(_text, found.body, as_base64=as_base64)
    if as_base64:
        told["isBinary"] = True
    return told


def _text(body: bytes, *, as_base64: bool) -> str:
    if as_base64:
        return b2a_base64(body, newline=False).decode()
    return body.decode("utf-8", "replace")


def _headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Name them as those of a page, in lower case, and leave out what cannot be on one line."""
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key != "set-cookie":
            found[key] = f"{found[key]}, {value}" if key in found else value
    return found
