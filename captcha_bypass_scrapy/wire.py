"""Responses as components near the downloader see them: compressed, and with a hidden status."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.signalmanager import SignalManager

from captcha_bypass_scrapy.compat import HOOK_ARGUMENTS

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.http import Response
    from scrapy.settings import BaseSettings
#: In `response.flags`, before the status that is hidden.
_STATUS_FLAG = "captcha-bypass-status-"


def readable(response: Response, request: Request, settings: BaseSettings) -> Response | None:
    """Return what our middleware would see, or None where it cannot be decompressed.

    Components above order 590 are closer to the wire than HttpCompressionMiddleware is.

    Args:
        settings: The crawl's; DOWNLOAD_MAXSIZE bounds what a response may swell to.
    """
    if b"Content-Encoding" not in response.headers:
        return response
    # All it takes of a crawler; the crawl's own one counts what it decompresses.
    crawler: Any = SimpleNamespace(settings=settings, stats=None, signals=SignalManager())
    try:
        found = HttpCompressionMiddleware(crawler=crawler).process_response(
            request=request, response=response.copy(), **HOOK_ARGUMENTS
        )
    except Exception:  # noqa: BLE001 - each decoder has its own errors
        return None
    return cast("Response", found)


def hide_status(response: Response) -> Response:
    """Return the response with status 200 and a flag that says the true one."""
    return response.replace(status=200, flags=[*response.flags, f"{_STATUS_FLAG}{response.status}"])


def restore_status(response: Response) -> Response:
    """Return the response with the status that it came with."""
    for flag in response.flags:
        if flag.startswith(_STATUS_FLAG):
            flags = [other for other in response.flags if other != flag]
            return response.replace(status=int(flag.removeprefix(_STATUS_FLAG)), flags=flags)
    return response
