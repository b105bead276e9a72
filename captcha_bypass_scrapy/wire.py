"""Responses as they come from the wire, before Scrapy has decompressed them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware

from captcha_bypass_scrapy.compat import HOOK_ARGUMENTS

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.http import Response


def readable(response: Response, request: Request) -> Response | None:
    """Return what our middleware would see, or None where it cannot be decompressed.

    Components above order 590 are closer to the wire than HttpCompressionMiddleware is.
    """
    if b"Content-Encoding" not in response.headers:
        return response
    try:
        found = HttpCompressionMiddleware().process_response(
            request=request, response=response.copy(), **HOOK_ARGUMENTS
        )
    except Exception:  # noqa: BLE001 - each decoder has its own errors
        return None
    return cast("Response", found)
