"""What the metrics are told of tasks: the host, and how each has ended."""

from __future__ import annotations

import asyncio

from tests.captcha_bypass.api.flaresolverr.scripted import DATA, GET, POST, Scripted
from tests.support.scripted_queue import until


async def test_each_task_is_reported_with_its_domain_and_result(scripted: Scripted) -> None:
    await scripted.answer(DATA | {"solved": "cloudflare"}, **GET)
    await scripted.answer(DATA, **POST)
    await scripted.answer(DATA | {"timeout_reached": True}, **GET)
    await scripted.answer(DATA | {"block": "cloudflare"}, **GET)
    await scripted.answer({"error": {"code": "dns_error", "message": "x"}}, **GET)
    leaving = asyncio.create_task(scripted.v1.post(cmd="request.get", url="https://[::1]:5/"))
    await until(lambda: scripted.script.running != set())
    leaving.cancel()
    await until(lambda: len(scripted.v1.reports) == 6)
    assert scripted.v1.reports == [
        ("site.test", "solved"),
        ("site.test", "not_detected"),
        ("site.test", "error"),
        ("site.test", "error"),
        ("site.test", "error"),
        ("::1", "unknown"),
    ]
    await scripted.v1.ok(cmd="sessions.list")
    await scripted.v1.message(cmd="request.get")
    assert len(scripted.v1.reports) == 6
