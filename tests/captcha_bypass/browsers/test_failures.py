"""The browser's words for a failure, and the code that a task's result has for it."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterator

import pytest
from playwright.async_api import Error

from captcha_bypass.browsers.failures import not_about_given_up_calls, translate
from tests.support.growth import grows_too_fast


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("Page.goto: Target page, context or browser has been closed", "browser_crashed"),
        ("Page.goto: NS_ERROR_UNKNOWN_PROXY_HOST", "proxy_error"),
        ("Page.goto: NS_ERROR_PROXY_BAD_GATEWAY", "proxy_error"),
        ("proxyConnectFailure", "proxy_error"),
        ("netReset", "connection_reset"),
        ("Page.goto: NS_ERROR_UNKNOWN_HOST", "dns_error"),
        ("Page.goto: NS_ERROR_CONNECTION_REFUSED", "connection_refused"),
        ("Page.goto: NS_ERROR_NET_PARTIAL_TRANSFER", "connection_reset"),
        ("Page.goto: SSL_ERROR_UNKNOWN", "tls_error"),
        ("Page.goto: NS_ERROR_REDIRECT_LOOP", "redirect_loop"),
        ("Page.goto: NS_ERROR_PORT_ACCESS_NOT_ALLOWED", "blocked_address"),
        ("Page.goto: NS_BINDING_ABORTED; maybe frame was detached?", "not_a_page"),
        ("Page.goto: NS_ERROR_NET_ERROR_RESPONSE", "not_a_page"),
        ("Page.goto: NS_ERROR_FILE_CORRUPTED", "navigation_error"),
    ],
)
def test_each_failure_has_its_code(words: str, code: str) -> None:
    assert translate(words).code == code


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("Page.goto: NS_ERROR_FILE_CORRUPTED\nCall log: ...", ": NS_ERROR_FILE_CORRUPTED."),
        ("Page.goto: netFailure, at http://a/", ": netFailure."),
        ("Page.goto: something at http://a/?NS_ERROR_X=secret", ": no further reason given."),
        ("Page.goto: NS_ERROR_" + "X" * 1000, ": no further reason given."),
    ],
)
def test_only_firefoxs_own_code_is_passed_on(words: str, told: str) -> None:
    assert str(translate(words)).endswith(told)


@pytest.mark.parametrize("unit", ["Failure", "xFailure", "NS_ERROR_", "a", " ", "nssFailure "])
def test_long_words_take_time_in_proportion(unit: str) -> None:
    assert not grows_too_fast(translate, unit, 16_384)


@pytest.fixture
def asyncios_log() -> Iterator[logging.Logger]:
    """asyncio's, as the service has it."""
    log = logging.getLogger("asyncio")
    log.addFilter(not_about_given_up_calls)
    yield log
    log.removeFilter(not_about_given_up_calls)


async def test_calls_that_were_given_up_are_no_news_and_what_is_ours_is(
    asyncios_log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise Error("Target page, context or browser has been closed")

    gc.collect()
    caplog.clear()  # what tests before this one left
    for error in (Error("Task was cancelled"), ValueError("a bug")):
        asyncio.get_running_loop().create_future().set_exception(error)
    forgotten = asyncio.create_task(fail())
    await asyncio.wait({forgotten})
    del forgotten
    gc.collect()
    assert {record.name for record in caplog.records} == {asyncios_log.name}
    told = [record.getMessage().partition("\n")[0] for record in caplog.records]
    assert sorted(told) == [
        "Future exception was never retrieved",
        "Task exception was never retrieved",
    ]
    assert "a bug" in caplog.text
