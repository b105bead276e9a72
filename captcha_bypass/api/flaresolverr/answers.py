"""What FlareSolverr's API answers (its version 3.5.0), made of what ours knows."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from captcha_bypass import __version__
from captcha_bypass.api.large import json_response
from captcha_bypass.tasks.base import JsonDict


def success(fields: JsonDict, started: float) -> web.Response:
    """Return the answer to a command that did what it should, begun at the epoch's second `started`."""
    return _answer({"status": "ok", **fields}, started, 200)


def failure(message: str, started: float, found: JsonDict | None = None) -> web.Response:
    """Return the answer to a command that did not, with the `solution` it led to if any."""
    line = message.replace("\n", "\\n")
    fields: JsonDict = {"status": "error", "message": f"Error: {line}"}
    return _answer(fields if found is None else {**fields, "solution": found}, started, 500)


def _answer(fields: JsonDict, started: float, status: int) -> web.Response:
    stamps = {
        "startTimestamp": int(started * 1000),
        "endTimestamp": int(time.time() * 1000),
        "version": __version__,
    }
    return json_response({**fields, **stamps}, status=status)


def solution(data: JsonDict, user_agent: str, *, only_cookies: bool, screenshot: bool) -> JsonDict:
    """Turn a task's data (wire.results.Solution) into a `solution`.

    Args:
        user_agent: For a page of which it is not known what was sent for it.
    """
    found: JsonDict = {
        "url": data["url"],
        # What a script made has no status; clients read a number.
        "status": data["status_code"] or 200,
        "cookies": [_cookie(cookie) for cookie in data["cookies"]],
        "userAgent": data["user_agent"] or user_agent,
        "turnstile_token": None,
    }
    if not only_cookies:
        found["headers"] = _headers(data["headers"])
        found["response"] = data["html"]
    if screenshot:
        found["screenshot"] = data["screenshot"]
    return found


def _headers(headers: dict[str, str]) -> dict[str, str]:
    """Put repeated headers on one line each; the browser gives them on several.

    Set-Cookie cannot be joined (RFC 9110, section 5.3), and all it set is in `cookies`.
    """
    return {
        name: ", ".join(value.split("\n"))
        for name, value in headers.items()
        if name.lower() != "set-cookie"
    }


def _cookie(cookie: dict[str, Any]) -> JsonDict:
    """Return a cookie in Selenium's shape and Puppeteer's, for clients written for either."""
    expires = int(cookie["expires"])  # whole: some clients read no fractions
    names = ("name", "value", "domain", "path", "secure", "httpOnly", "sameSite")
    found: JsonDict = {name: cookie[name] for name in names}
    found["expires"] = expires
    if expires >= 0:
        found["expiry"] = expires
    found["size"] = len((cookie["name"] + cookie["value"]).encode("utf-8", "surrogatepass"))
    found["session"] = expires < 0
    return found
