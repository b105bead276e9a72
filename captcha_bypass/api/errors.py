"""One shape for every error answer, whoever raised it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import ValidationError

from captcha_bypass.errors import (
    BodyTooLarge,
    FieldError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    RequestError,
)

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def error_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer errors as JSON; a traceback goes to the log and never to a client."""
    try:
        return await handler(request)
    except RequestError as error:
        return answer(error)
    except web.HTTPNotFound:
        return answer(NotFound("No such route; /openapi.json lists them."))
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        response = answer(MethodNotAllowed(f"This route takes {allowed}."))
        response.headers["Allow"] = allowed
        return response
    except web.HTTPRequestEntityTooLarge:
        limit = request.client_max_size
        return answer(BodyTooLarge(f"The body is over {limit} bytes; send less."))
    except web.RequestPayloadError:
        message = "cannot be read: the connection or its Content-Encoding is broken"
        return answer(InvalidRequest([FieldError("body", message)]))
    except web.HTTPException:
        raise
    except Exception:
        logger.exception("%s %r failed unexpectedly", request.method, request.path)
        body = {"code": "internal_error", "message": "Unexpected error; see the service's log."}
        return web.json_response({"error": body}, status=500)


def not_about_broken_http(record: logging.LogRecord) -> bool:
    """Filter of aiohttp's log: its tracebacks of requests that are not HTTP quote them, keys too."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def answer(error: RequestError) -> web.Response:
    """Return the response for a refused request."""
    body: dict[str, Any] = {"code": error.code, "message": str(error)}
    if isinstance(error, InvalidRequest):
        body["fields"] = [{"field": i.field, "message": i.message} for i in error.fields]
    return web.json_response({"error": body}, status=error.status, headers=error.headers)


def invalid(error: ValidationError) -> InvalidRequest:
    """Turn pydantic's errors into ours: a path and a message, never the value."""
    fields = []
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        path = ".".join(str(part) for part in item["loc"] if part != "[key]")
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "is not a known field"
        fields.append(FieldError(path or _subject(message), message))
    return InvalidRequest(fields)


def _subject(message: str) -> str:
    """Name the field that an error of the whole body is about."""
    return "success_text" if message.startswith("give at least one condition") else "body"
