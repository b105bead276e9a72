"""What a task comes to where our own handling of its page fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.async_api import Error
from pyee import EventEmitter

from captcha_bypass.solving.cookies import Jar
from captcha_bypass.solving.worker import Worker

PAYLOAD = {"url": "http://site.test/", "no_challenge": True, "timeout": 5}


class Pages:
    """Lends a page on which nothing happens."""

    @asynccontextmanager
    async def page(self, **_: object) -> AsyncIterator[Any]:
        page: Any = EventEmitter()
        page.url, page.context = "about:blank", EventEmitter()
        page.main_frame = SimpleNamespace(_impl_obj=SimpleNamespace(_event_emitter=EventEmitter()))
        yield SimpleNamespace(page=page, guard=SimpleNamespace(failure=lambda url: None, gate=None))


async def code_of_task_that_fails_by(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str]:
    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Jar, "fill", fail)
    ended: list[str] = []
    pages: Any = Pages()
    worker = Worker(pages, 10_000, report=lambda outcome, seconds, data: ended.append(outcome))
    result = await worker("id", PAYLOAD)
    return result["error"]["code"], *ended


async def test_bug_in_the_handling_of_a_page_is_told_as_one_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = await code_of_task_that_fails_by(KeyError("a bug"), monkeypatch)
    assert found == ("internal_error", "internal_error")
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError


async def test_what_the_browser_says_is_told_by_its_code(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = await code_of_task_that_fails_by(Error("NS_ERROR_UNKNOWN_HOST"), monkeypatch)
    assert found == ("dns_error", "dns_error")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
