"""From the answer that a browser got to Scrapy's response."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.http.headers import Headers
from scrapy.responsetypes import responsetypes

from captcha_bypass_scrapy.compat import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
)
from captcha_bypass_scrapy.responses import FLAG

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.http import Response

    from captcha_bypass_scrapy.errors import FetchFailed
    from captcha_bypass_scrapy.fetch_client import Fetched

#: What Scrapy's own download handlers raise, so that RetryMiddleware and errbacks know it. All other
#: codes are a connection that failed.
_ERRORS: dict[str, type[Exception]] = {
    "timeout": DownloadTimeoutError,
    "dns_error": CannotResolveHostError,
    "connection_refused": DownloadConnectionRefusedError,
    "answer_too_large": DownloadCancelledError,
}


def response_of(answer: Fetched, request: Request) -> Response:
    """Return the answer as the response that Scrapy would have made of it.

    A Content-Encoding that the browser has undone is left out, as HttpCompressionMiddleware does.
    """
    headers = Headers(
        [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in answer.headers
            if answer.decoded is None or name.lower() != "content-encoding"
        ]
    )
    cls = responsetypes.from_args(headers=headers, url=request.url, body=answer.body)
    return cls(
        url=request.url, status=answer.status, headers=headers, body=answer.body, flags=[FLAG]
    )


def exception_of(error: FetchFailed) -> Exception:
    """Return the exception that a download handler of Scrapy's would raise."""
    return _ERRORS.get(error.code, DownloadFailedError)(str(error))
