"""What nodes send each other about a fetch: a JSON object, and bytes that need not be text."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import cast

from captcha_bypass.errors import (
    CaptchaBypassError,
    FieldError,
    InvalidRequest,
    QueueFull,
    QueueUnavailable,
    RequestError,
    ShuttingDown,
    TaskError,
    TaskErrorCode,
    TooManySessions,
    TooManyWaiting,
    UnexpectedError,
)
from captcha_bypass.fetching.messages import (
    AnswerTooLarge,
    AnswerUnreadable,
    ChallengeNotPassed,
    TimeIsUp,
)
from captcha_bypass.tasks.base import JsonDict
from captcha_bypass.wire.fetch import Fetched, FetchRequest, NotThrough, Obstacle

_LENGTH = 4


def pack(about: JsonDict, body: bytes) -> bytes:
    """Return both as one letter."""
    text = json.dumps(about).encode()
    return len(text).to_bytes(_LENGTH, "big") + text + body


def unpack(letter: bytes) -> tuple[JsonDict, bytes]:
    """Return what was packed.

    Raises:
        ValueError: nothing was.
    """
    end = _LENGTH + int.from_bytes(letter[:_LENGTH], "big")
    about = json.loads(letter[_LENGTH:end])
    if not isinstance(about, dict):
        raise ValueError("no letter")  # noqa: TRY004 - it is of bytes
    return about, letter[end:]


def pack_request(request: FetchRequest, owner: str) -> bytes:
    """Return a letter with a request, its secrets included."""
    told = request.model_dump(mode="json", exclude={"body", "body_base64"}, exclude_defaults=True)
    if request.proxy is not None and request.proxy.password is not None:
        told["proxy"]["password"] = request.proxy.password.get_secret_value()
    content = request.content
    return pack({"owner": owner, "request": told, "has_body": content is not None}, content or b"")


def unpack_request(letter: bytes) -> tuple[FetchRequest, str]:
    """Return the request, and whose it is.

    Raises:
        ValueError: there is none in it.
    """
    about, body = unpack(letter)
    fields = about.get("request")
    if not isinstance(fields, dict):
        raise ValueError("no request")  # noqa: TRY004 - see unpack
    if about.get("has_body"):
        fields["body_base64"] = b64encode(body).decode()
    return FetchRequest.model_validate(fields), str(about.get("owner", ""))


def pack_answer(found: Fetched) -> bytes:
    """Return a letter with what the site has answered."""
    about = {
        "status": found.status,
        "headers": found.headers,
        "url": found.url,
        "decoded": found.decoded,
        "solved": found.solved,
        "user_agent": found.user_agent,
        "page_seconds": found.page_seconds,
    }
    return pack(about, found.body)


def unpack_answer(letter: bytes) -> Fetched:
    """Return what the site has answered.

    Raises:
        ValueError: it is not in there.
    """
    about, body = unpack(letter)
    try:
        headers = tuple((str(name), str(value)) for name, value in about.pop("headers"))
        return Fetched(headers=headers, body=body, **about)
    except (KeyError, TypeError) as error:
        raise ValueError("no answer") from error


def tell(error: CaptchaBypassError) -> JsonDict:
    """Return an error as JSON."""
    told: JsonDict = {"code": error.code, "message": str(error)}
    # Some codes are those of a task as well as of a request.
    if isinstance(error, RequestError):
        told["refused"] = True
    if isinstance(error, InvalidRequest):
        told["fields"] = [[item.field, item.message] for item in error.fields]
    if isinstance(error, NotThrough) and error.obstacle is not None:
        told["obstacle"] = error.obstacle.model_dump(mode="json")
    return told


def error_of(told: JsonDict) -> CaptchaBypassError:
    """Return the error that was told.

    Raises:
        ValueError: none was.
    """
    code, message = str(told.get("code")), str(told.get("message"))
    if told.get("refused"):
        return _refusal(code, message, told)
    obstacle = Obstacle.model_validate(told["obstacle"]) if "obstacle" in told else None
    for through in (ChallengeNotPassed, TimeIsUp):
        if through.code == code:
            return through(message, obstacle)
    for kind in (AnswerTooLarge, AnswerUnreadable):
        if kind.code == code:
            return kind(message)
    return TaskError(cast("TaskErrorCode", code), message)


def _refusal(code: str, message: str, told: JsonDict) -> RequestError:
    if code == InvalidRequest.code:
        fields = [FieldError(str(field), str(what)) for field, what in told.get("fields", ())]
        return InvalidRequest(fields)
    if code == ShuttingDown.code:
        return ShuttingDown()
    for kind in (QueueFull, QueueUnavailable, TooManySessions, TooManyWaiting):
        if kind.code == code:
            return kind(message)
    return UnexpectedError(message)
