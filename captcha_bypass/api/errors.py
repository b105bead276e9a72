"""What a request is refused with, whoever refused it, and the shape of the answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Middleware
from pydantic import ValidationError

from captcha_bypass.api.refusals import Refusals
from captcha_bypass.errors import (
    BodyTooLarge,
    FieldError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    RequestError,
    UnexpectedError,
)
from captcha_bypass.wire.conditions import ANY, ONE

logger = logging.getLogger(__name__)

#: Errors of one request that are told, and that are looked at: 24,000 take some 50 ms.
MAX_FIELDS, MAX_ERRORS = 20, 1000
#: Characters of a field's path that are told; a key of a body may be as long as that.
MAX_PATH_CHARS = 200
#: Parts of a path that are pydantic's, or of how a field is checked, and no name of the body's.
_NOT_TOLD = frozenset({"[key]", ONE, ANY})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def refused(refusals: Refusals) -> Middleware:
    """Return the middleware that makes a RequestError of all that goes wrong, and tells of it.

    A traceback goes to the log alone.
    """

    @web.middleware
    async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except RequestError as error:
            refusals.request(error, request)
            raise
        except Exception as error:
            refusal = _refusal(request, error)
            refusals.request(refusal, request)
            raise refusal from error

    return counted


@web.middleware
async def answered_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what was refused in the API's own shape."""
    try:
        return await handler(request)
    except RequestError as error:
        return answer(error)


def _refusal(request: web.Request, error: Exception) -> RequestError:
    if isinstance(error, web.HTTPNotFound):
        return NotFound("No such route; /openapi.json lists them.")
    if isinstance(error, web.HTTPMethodNotAllowed):
        return MethodNotAllowed(error.allowed_methods)
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return BodyTooLarge(f"The body is over {request.client_max_size} bytes; send less.")
    if isinstance(error, web.RequestPayloadError):
        message = "cannot be read: the connection or its Content-Encoding is broken"
        return InvalidRequest([FieldError("body", message)])
    if isinstance(error, web.HTTPException):
        raise error
    logger.error("%s %r failed unexpectedly", request.method, request.path, exc_info=error)
    return UnexpectedError("Unexpected error; see the service's log.")


def not_about_broken_http(record: logging.LogRecord) -> bool:
    """Filter of aiohttp's log: its tracebacks of requests that are not HTTP quote them, keys too."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def answer(error: RequestError) -> web.Response:
    """Return the response for a refused request."""
    body: dict[str, Any] = {"code": error.code, "message": str(error)}
    if isinstance(error, InvalidRequest):
        body["fields"] = [{"field": i.field, "message": i.message} for i in error.fields]
    headers = error.headers
    if isinstance(error, MethodNotAllowed):
        headers = {"Allow": error.allowed}
    return web.json_response({"error": body}, status=error.status, headers=headers)


def invalid(error: ValidationError) -> InvalidRequest:
    """Turn pydantic's errors into ours: a path and a message, never the value.

    At most MAX_FIELDS of them, and how many more there are; none is looked at where there are so
    many that looking takes long.
    """
    count = error.error_count()
    if count > MAX_ERRORS:
        message = f"{count} things are wrong with it; send the documented fields, and no others"
        return InvalidRequest([FieldError("body", message)])
    fields = []
    items = error.errors(include_input=False, include_url=False)
    for item in items[:MAX_FIELDS]:
        path = ".".join(str(part) for part in item["loc"] if part not in _NOT_TOLD)
        if not path:  # what spans several fields says which to begin with
            path = item.get("ctx", {}).get("field", "body")
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "is not a known field"
        fields.append(FieldError(path[:MAX_PATH_CHARS], message))
    if count > MAX_FIELDS:
        fields.append(FieldError("body", f"{count - MAX_FIELDS} more things are wrong with it"))
    return InvalidRequest(fields)
