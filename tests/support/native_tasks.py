"""A task as the native API takes it, and a result as it hands it out."""

from __future__ import annotations

from typing import Any

from captcha_bypass.wire.results import Solution

BASE: dict[str, Any] = {"url": "http://site.test/", "success_text": "Welcome", "timeout": 10}


RESULT_COOKIES = [
    {
        "name": "cf_clearance",
        "value": "abc.def-1.2.1.1-x/y==",
        "domain": ".site.test",
        "path": "/",
        "expires": 1893456000.5,
        "httpOnly": True,
        "secure": True,
        "sameSite": "None",
    },
    {
        "name": "session",
        "value": "",
        "domain": "127.0.0.1",
        "path": "/app",
        "expires": -1,
        "httpOnly": False,
        "secure": False,
        "sameSite": "Lax",
    },
]


SOLUTION: dict[str, Any] = Solution.model_validate(
    {
        "cookies": RESULT_COOKIES,
        "headers": {"content-type": "text/html"},
        "status_code": 200,
        "html": "<p>Welcome \N{SNOWMAN}</p>",
        "url": "http://site.test/",
        "timeout_reached": False,
        "user_agent": "Mozilla/5.0",
        "request_headers": {"user-agent": "Mozilla/5.0"},
        "elapsed": 1.5,
    }
).model_dump(mode="json")
