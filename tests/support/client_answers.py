"""What a scripted service answers a client, and what it was asked."""

from __future__ import annotations

import json
import re

from captcha_bypass.client.protocol import Protocol
from captcha_bypass.client.steps import Answer
from tests.support.clients import ScriptedService
from tests.support.native_tasks import SOLUTION

BODY = {"url": "http://site.test/", "no_challenge": True, "timeout": 60.0}
ASKED = Protocol("http://service.test")


def answer(status: int, body: object, **headers: str) -> Answer:
    return Answer(
        status, {k.replace("_", "-"): v for k, v in headers.items()}, json.dumps(body).encode()
    )


def refused(code: str, after: str = "5", status: int = 503) -> Answer:
    return answer(status, {"error": {"code": code, "message": "Told."}}, retry_after=after)


TAKEN = answer(202, {"task_id": "7"})
PENDING, RUNNING, LOST = (
    answer(404 if status == "not_found" else 200, {"status": status, "error": None, "data": None})
    for status in ("pending", "running", "not_found")
)
DONE = answer(200, {"status": "completed", "error": None, "data": SOLUTION})
STOPPED = answer(200, {"status": "error", "error": {"code": "shutting_down", "message": "Told."}})


def paths(service: ScriptedService) -> list[str]:
    return [f"{call.method} {call.path.partition('?')[0]}" for call in service.calls]


def waits(service: ScriptedService) -> list[float]:
    found = [re.search(r"/result/.*wait=([\d.]+)", call.path) for call in service.calls]
    return [float(match[1]) for match in found if match]
