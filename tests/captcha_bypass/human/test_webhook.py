"""Messages about waits, to a real server that takes them, fails, hangs or sends elsewhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from captcha_bypass.human import webhook
from captcha_bypass.human.waits import Wait
from captcha_bypass.human.webhook import Webhook
from tests.support.scripted_queue import until

SECRETS = ("hook-login", "hook-password", "hook-path", "hook-token")


class Receiver:
    """A server that answers as it is told, and remembers what it was sent."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.moved: list[str] = []
        self.logins: list[str | None] = []
        #: The status of each answer; the last of all others. None: none comes.
        self.answers: list[int | None] = [204]

    async def hook(self, request: web.Request) -> web.Response:
        self.messages.append(await request.json())
        self.logins.append(request.headers.get("Authorization"))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            await asyncio.Event().wait()
        return web.Response(status=answer or 200, headers={"Location": "/moved"})

    async def elsewhere(self, request: web.Request) -> web.Response:
        self.moved.append(request.method)
        return web.Response()


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def hook(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[Webhook]:
    # A server that answers has the service's own time for it: a machine that stands still for a
    # moment must not make it one that hangs.
    monkeypatch.setattr(webhook, "TRY_SECONDS", getattr(request, "param", webhook.TRY_SECONDS))
    monkeypatch.setattr(webhook, "PAUSES", (0.0, 0.01, 0.01))
    app = web.Application()
    app.router.add_post("/hook-path", receiver.hook)
    app.router.add_route("*", "/moved", receiver.elsewhere)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(TestServer(app))
        where = f"{server.host}:{server.port}"
        url = f"http://hook-login:hook-password@{where}/hook-path?token=hook-token"
        yield await stack.enter_async_context(Webhook(url))


MakeWait = Callable[[], Wait]


@pytest.fixture
async def make_wait() -> MakeWait:
    page: Any = object()
    link = "http://solver.test/dashboard#/task/a-task"
    return lambda: Wait("a-task", "key 0", "site.test", "datadome", page, link, 600.0)


async def test_a_message_tells_where_a_person_is_needed(
    hook: Webhook, receiver: Receiver, make_wait: MakeWait
) -> None:
    wait = make_wait()
    hook.announce(wait)
    await until(lambda: len(receiver.messages) == 1)
    assert receiver.messages == [
        {
            "event": "waiting_for_human",
            "task_id": "a-task",
            "host": "site.test",
            "vendor": "datadome",
            "link": "http://solver.test/dashboard#/task/a-task",
            "until": round(wait.until, 3),
        }
    ]
    assert receiver.logins[0]


async def test_one_that_fails_twice_is_sent_a_third_time_and_not_again(
    hook: Webhook, receiver: Receiver, make_wait: MakeWait, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [500, 503, 200]
    hook.announce(make_wait())
    await until(lambda: not hook.running)
    assert len(receiver.messages) == 3
    assert not caplog.records


@pytest.mark.parametrize(
    ("hook", "answer", "told"),
    [
        (5.0, 500, "it answered 500"),
        (5.0, 302, "it answered 302"),
        (0.3, None, "it did not answer within 0.3 s"),
    ],
    indirect=["hook"],
)
async def test_one_that_is_never_taken_is_given_up_with_a_line_without_secrets(
    hook: Webhook,
    receiver: Receiver,
    make_wait: MakeWait,
    caplog: pytest.LogCaptureFixture,
    answer: int | None,
    told: str,
) -> None:
    receiver.answers = [answer]
    with caplog.at_level(logging.DEBUG, "captcha_bypass"):
        hook.announce(make_wait())
        await until(lambda: not hook.running)
    assert len(receiver.messages) == 3
    assert receiver.moved == []
    (line,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert told in line
    assert not any(secret in caplog.text for secret in SECRETS)


async def test_a_server_that_is_not_there_is_told_of_without_secrets(
    make_wait: MakeWait, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(webhook, "PAUSES", (0.0,))
    url = "http://hook-login:hook-password@127.0.0.1:9/hook-path?token=hook-token"
    async with Webhook(url) as hook:
        hook.announce(make_wait())
        await until(lambda: not hook.running)
    assert "(127.0.0.1:9: ClientConnectorError)" in caplog.text
    assert not any(secret in caplog.text for secret in SECRETS)


async def test_nobody_is_called_for_a_wait_that_is_over(
    hook: Webhook, receiver: Receiver, make_wait: MakeWait
) -> None:
    receiver.answers = [500]
    wait = make_wait()
    hook.announce(wait)
    await until(lambda: len(receiver.messages) == 1)
    wait.end("solved")
    await until(lambda: not hook.running)
    assert len(receiver.messages) == 1


async def test_messages_that_hang_do_not_pile_up(
    hook: Webhook,
    receiver: Receiver,
    make_wait: MakeWait,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(webhook, "MOST", 2)
    receiver.answers = [None]
    for _ in range(3):
        hook.announce(make_wait())
    assert hook.running == 2
    assert "2 messages are still under way" in caplog.text


async def test_leaving_ends_what_hangs(receiver: Receiver, make_wait: MakeWait) -> None:
    receiver.answers = [None]
    app = web.Application()
    app.router.add_post("/", receiver.hook)
    async with TestServer(app) as server:
        async with Webhook(str(server.make_url("/"))) as hook:
            hook.announce(make_wait())
            await until(lambda: len(receiver.messages) == 1)
        assert not hook.running
