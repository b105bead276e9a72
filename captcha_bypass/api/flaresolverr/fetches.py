"""Commands of which forks of FlareSolverr send the body as it is, or want the answer's bytes: by our /fetch."""

from __future__ import annotations

import asyncio
from binascii import b2a_base64
from collections.abc import Iterable

from captcha_bypass.api.fetch_places import FetchPlaces
from captcha_bypass.api.flaresolverr.commands import FAILED, Refused, invalid_parameter
from captcha_bypass.errors import CaptchaBypassError, InvalidRequest, RequestError
from captcha_bypass.tasks.base import JsonDict
from captcha_bypass.wire.fetch import Fetched, FetchRequest

#: Bytes of an answer from which it is made text in a thread: below, that takes about 0.1 ms.
THREAD_BYTES = 64 * 1024


async def send(places: FetchPlaces, request: FetchRequest, owner: str) -> Fetched:
    """Return what a site answers, whatever its status.

    Raises:
        Refused: there is no answer.
        RequestError: the service takes no more requests.
    """
    try:
        with places.place(len(request.content or b"")):
            return await places.send(request, owner)
    except InvalidRequest as error:
        raise invalid_parameter(error.fields[0]) from None
    except RequestError:
        raise
    except CaptchaBypassError as error:
        late = f"Timeout after {request.timeout} seconds."
        raise Refused(FAILED + (late if error.code == "timeout" else str(error))) from error


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
