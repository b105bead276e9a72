"""A page that waits for a person: shown to all who watch, used by one, and never at its mercy."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from captcha_bypass.api.dashboard import live as live_module
from captcha_bypass.api.dashboard import watcher as watcher_module
from captcha_bypass.api.dashboard.application import LIVE
from captcha_bypass.human import control, inputs, screen
from tests.support.dashboard_service import A, B, Dashboard, serving
from tests.support.scripted_queue import until
from tests.support.waiting_pages import HEIGHT, WIDTH, FakePage, WaitingTasks, jpeg

CLICK = {"type": "mouse", "x": 10, "y": 20}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "FAST_SECONDS", 0.01)
    monkeypatch.setattr(screen, "SLOW_SECONDS", 0.02)


@dataclass
class Viewer:
    """A client of the WebSocket."""

    ws: ClientWebSocketResponse

    async def say(self, kind: str, **more: object) -> None:
        await self.ws.send_json({"type": kind, **more})

    async def next(self) -> Any:  # noqa: ANN401 - JSON, or bytes of a picture
        async with asyncio.timeout(10):
            message = await self.ws.receive()
        if message.type is WSMsgType.BINARY:
            return message.data
        assert message.type is WSMsgType.TEXT, message
        return json.loads(message.data)

    async def of(self, kind: str, **fields: object) -> dict[str, Any]:
        """Return the next message of a type that has these fields; others are passed over."""
        while True:
            found = await self.next()
            if (
                isinstance(found, dict)
                and found["type"] == kind
                and fields.items() <= found.items()
            ):
                return found

    async def picture(self) -> bytes:
        while not isinstance(found := await self.next(), bytes):
            pass
        return found

    async def error(self) -> str:
        return str((await self.of("error"))["code"])

    async def closed(self) -> int | None:
        """Return the code with which the service hangs up."""
        async with asyncio.timeout(10):
            while (last := await self.ws.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
                pass
        # The client's own figure is another one if it can no longer answer that.
        return int(last.data) if last.type is WSMsgType.CLOSE else self.ws.close_code


@dataclass
class Waiting:
    """A service with one task that waits."""

    dashboard: Dashboard
    tasks: WaitingTasks
    task_id: str
    stack: AsyncExitStack

    @property
    def page(self) -> FakePage:
        return self.tasks.pages[self.task_id]

    async def watch(self, **headers: str) -> Viewer:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        path = f"/dashboard/api/tasks/{self.task_id}/live"
        ws = await self.dashboard.client.ws_connect(path, headers=fields)
        self.stack.push_async_callback(ws.close)
        return Viewer(ws)

    async def in_control(self, **headers: str) -> Viewer:
        viewer = await self.watch(**headers)
        await viewer.picture()
        await viewer.say("control")
        await viewer.of("state", control="you")
        return viewer

    async def refusal(self, **headers: str) -> int:
        with pytest.raises(WSServerHandshakeError) as refused:
            await self.watch(**headers)
        return refused.value.status

    async def waiting(self, **headers: str) -> dict[str, Any]:
        path = f"/dashboard/api/tasks/{self.task_id}"
        answer = await self.dashboard.ask("GET", path, **headers)
        found: dict[str, Any] = (await answer.json())["waiting"]
        return found


MakeWaiting = Callable[..., Awaitable[Waiting]]


@pytest.fixture
async def make_waiting() -> AsyncIterator[MakeWaiting]:
    async with AsyncExitStack() as stack:

        async def make(**settings: Any) -> Waiting:  # noqa: ANN401
            tasks = WaitingTasks()
            dashboard = await stack.enter_async_context(serving(tasks, **settings))
            headers = {"X_API_Key": A} if settings.get("api_key") else {}
            task_id = await dashboard.submit(**headers)
            await until(lambda: tasks.waits.get(task_id) is not None)
            return Waiting(dashboard, tasks, task_id, stack)

        yield make


@pytest.fixture
async def waiting(make_waiting: MakeWaiting) -> Waiting:
    return await make_waiting()


# Pictures


async def test_watcher_sees_how_things_stand_and_each_picture_once_it_has_drawn_the_last(
    waiting: Waiting,
) -> None:
    viewer = await waiting.watch()
    state = await viewer.of("state", width=WIDTH)
    assert (state["height"], state["watchers"], state["control"]) == (HEIGHT, 1, "free")
    assert (state["host"], state["vendor"]) == ("site.test", "turnstile")
    assert state["until"] == pytest.approx((await waiting.waiting())["until"])
    assert await viewer.picture() == jpeg("first")
    waiting.page.show("second")
    await viewer.say("ack")
    assert await viewer.picture() == jpeg("second")
    waiting.page.shown = jpeg("third", 40, 30)
    await viewer.say("ack")
    await viewer.of("state", width=40, height=30)
    assert await viewer.picture() == jpeg("third", 40, 30)


async def test_no_picture_is_taken_unless_somebody_waits_for_one(waiting: Waiting) -> None:
    assert waiting.page.shots == 0
    viewer = await waiting.watch()
    await viewer.picture()
    shots = waiting.page.shots
    waiting.page.show("second")
    await asyncio.sleep(0.2)  # ten pictures
    assert waiting.page.shots == shots == 1, "the first was not drawn yet"
    await viewer.say("ack")
    await viewer.picture()
    await viewer.say("ack")  # nothing new: it is looked at again and again
    await until(lambda: waiting.page.shots > 5)
    await viewer.ws.close()
    await until(lambda: not live_of(waiting).watchers)
    await asyncio.sleep(0.05)  # for the one that may be under way
    shots = waiting.page.shots
    await asyncio.sleep(0.2)
    assert waiting.page.shots == shots


def live_of(waiting: Waiting) -> live_module.Live:
    wait = waiting.tasks.waits.get(waiting.task_id)
    assert wait is not None
    live = waiting.dashboard.app[LIVE].of(wait)
    assert live is not None
    return live


async def test_one_picture_is_for_all_who_watch_and_more_are_turned_away(waiting: Waiting) -> None:
    viewers = [await waiting.watch() for _ in range(live_module.MAX_WATCHERS)]
    assert await waiting.refusal() == 503
    for viewer in viewers:
        assert await viewer.picture() == jpeg("first")
    await viewers[0].of("state", watchers=len(viewers))
    for number in range(3):
        waiting.page.show(f"picture {number}")
        for viewer in viewers:
            await viewer.say("ack")
        for viewer in viewers:
            assert await viewer.picture() == jpeg(f"picture {number}")
    # Some may have asked before the picture changed.
    assert waiting.page.shots < 20
    assert (await waiting.waiting())["watchers"] == len(viewers)
    await viewers[0].ws.close()
    await until(lambda: len(live_of(waiting).watchers) == len(viewers) - 1)
    await waiting.watch()


async def test_watcher_that_does_not_read_holds_up_nobody_and_no_queue_grows(
    waiting: Waiting,
) -> None:
    slow, fast = await waiting.watch(), await waiting.watch()
    await fast.picture()
    assert slow.ws._response.connection is not None
    transport = slow.ws._response.connection.transport
    assert isinstance(transport, asyncio.Transport)
    transport.pause_reading()
    for number in range(30):
        await slow.say("ack")
        waiting.page.shown = jpeg(f"{number}") + bytes(200_000)
        await fast.say("ack")
        assert len(await fast.picture()) > 200_000
    server = waiting.dashboard.client.server.handler
    assert server is not None
    held = [c.transport.get_write_buffer_size() for c in server.connections if c.transport]
    # A picture and what the socket takes, not thirty pictures.
    assert max(held) < 1_000_000
    transport.resume_reading()


async def test_page_that_gives_no_picture_is_busy_and_its_watcher_stays(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "SHOT_SECONDS", -0.95)
    monkeypatch.setattr(screen, "REST_SECONDS", 0.1)
    waiting.page.answers.clear()
    clock = asyncio.get_running_loop().time
    began = clock()
    viewer = await waiting.watch()
    assert await viewer.error() == await viewer.error() == "page_busy"
    assert waiting.page.shots <= 2 + (clock() - began) / 0.1, "each is followed by a rest"
    monkeypatch.undo()
    waiting.page.answers.set()
    assert await viewer.picture() == jpeg("first")
    waiting.page.closed = True
    await viewer.say("ack")
    assert await viewer.error() == "page_gone"
    await viewer.say("control")
    await viewer.of("state", control="you")


# Control


async def test_only_one_has_the_mouse_and_keyboard(waiting: Waiting) -> None:
    first, second = await waiting.watch(), await waiting.watch()
    await first.picture()
    await first.say("mouse", action="down", x=1, y=1)
    assert await first.error() == "no_control"
    await first.say("control")
    await first.of("state", control="you", watchers=2)
    await second.of("state", control="other")
    assert (await waiting.waiting())["controlled"]
    for message in ({**CLICK, "action": "down"}, {"type": "paste", "text": "x"}):
        await second.ws.send_json(message)
        assert await second.error() == "no_control"
    await second.say("leave")
    assert await second.error() == "no_control"
    await first.say("release")
    await second.of("state", control="free")
    assert waiting.page.done == []


async def test_what_a_person_does_reaches_the_page_in_order(waiting: Waiting) -> None:
    viewer = await waiting.in_control()
    for message in [
        {**CLICK, "action": "move"},
        {**CLICK, "action": "down", "clicks": 2},
        {"type": "mouse", "action": "move", "x": 30.5, "y": 20},
        {"type": "mouse", "action": "up", "x": 30.5, "y": 20, "clicks": 2},
        {"type": "wheel", "x": 30.5, "y": 20, "dx": 0, "dy": -120},
        {"type": "key", "action": "down", "key": "a"},
        {"type": "key", "action": "up", "key": "a"},
        {"type": "key", "action": "down", "key": "\N{LATIN SMALL LETTER E WITH ACUTE}"},
        {"type": "key", "action": "down", "key": "Control"},
        {"type": "key", "action": "down", "key": "a"},
        {"type": "key", "action": "up", "key": "Control"},
        {"type": "key", "action": "down", "key": " "},
        {"type": "key", "action": "up", "key": " "},
        {"type": "paste", "text": "x" * 10_000},
    ]:
        await viewer.ws.send_json(message)
    await until(lambda: len(waiting.page.done) == 13)
    assert waiting.page.done == [
        ("move", 10, 20),
        ("down", "mouse", 2),
        ("move", 30.5, 20),
        ("up", "mouse", 2),
        ("wheel", 0, -120),
        ("press", "a"),
        ("insert", "\N{LATIN SMALL LETTER E WITH ACUTE}"),
        ("down", "Control", 0),
        ("press", "a"),
        ("up", "Control", 0),
        ("down", " ", 0),
        ("up", " ", 0),
        ("insert", "x" * 10_000),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        *[(text, "invalid_message") for text in ("", "{", "[]", "null", '"ack"', "[" * 100_000)],
        *[('{"type": "nope"}', "invalid_message"), ('{"type": "ack", "x": 1}', "invalid_message")],
        ('{"type": "mouse", "action": "down", "x": 1}', "invalid_message"),
        ('{"type": "mouse", "action": "down", "x": NaN, "y": 1}', "invalid_message"),
        ('{"type": "mouse", "action": "down", "x": "1", "y": 1}', "invalid_message"),
        (
            '{"type": "mouse", "action": "down", "x": 1, "y": 1, "button": "right"}',
            "invalid_message",
        ),
        ('{"type": "mouse", "action": "down", "x": 1, "y": 1, "clicks": 99}', "invalid_message"),
        ('{"type": "wheel", "x": 1, "y": 1, "dx": 1e9, "dy": 0}', "invalid_message"),
        ('{"type": "paste", "text": "\\ud800"}', "invalid_message"),
        (json.dumps({"type": "paste", "text": "x" * 10_001}), "too_long"),
        (json.dumps({"type": "key", "action": "down", "key": "x" * 33}), "too_long"),
        *[
            (json.dumps({"type": "mouse", "action": "down", "x": x, "y": y}), "outside")
            for x, y in [(-1, 5), (5, -0.5), (WIDTH, 5), (5, HEIGHT), (99_999, 99_999)]
        ],
        *[
            (json.dumps({"type": "key", "action": "down", "key": key}), "unknown_key")
            for key in ["F12", "Meta", "Alt", "Dead", "ab", "\x00", "\n", "\N{ZERO WIDTH SPACE}"]
        ],
    ],
)
async def test_bad_message_is_told_in_a_code_and_does_nothing(
    waiting: Waiting, text: str, code: str
) -> None:
    viewer = await waiting.in_control()
    await viewer.ws.send_str(text)
    assert await viewer.error() == code
    await viewer.ws.send_bytes(b"\x00")
    assert await viewer.error() == "invalid_message"
    assert waiting.page.done == []
    await viewer.say("paste", text="still there")
    await until(lambda: waiting.page.done == [("insert", "still there")])


@pytest.mark.parametrize("key", ["c", "v", "x", "l", "t", "w", "Enter", "Tab"])
async def test_browsers_shortcuts_and_clipboard_are_out_of_reach(
    waiting: Waiting, key: str
) -> None:
    viewer = await waiting.in_control()
    await viewer.say("key", action="down", key="Control")
    await viewer.say("key", action="down", key=key)
    assert await viewer.error() == "unknown_key"


async def test_control_is_asked_for_kept_and_yielded(waiting: Waiting) -> None:
    first, second, third = await waiting.in_control(), await waiting.watch(), await waiting.watch()
    await second.say("control")
    assert (await first.of("asked"))["seconds"] == 10
    await third.say("control")
    assert await third.error() == "already_asked"
    await first.say("keep")
    await second.of("refused")
    await third.say("control")
    await first.of("asked")
    await first.say("key", action="down", key="Shift")
    await first.say("mouse", action="down", x=1, y=1)
    await until(lambda: len(waiting.page.done) == 3)
    await first.say("yield")
    await third.of("state", control="you")
    await first.of("state", control="other")
    # What was held down is not held down for the next.
    await until(lambda: waiting.page.done[3:] == [("up", "Shift", 0), ("up", "mouse", 0)])


async def test_one_who_does_not_answer_yields(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "ANSWER_SECONDS", 0.05)
    first, second = await waiting.in_control(), await waiting.watch()
    await second.say("control")
    await second.of("state", control="you")
    await first.of("state", control="other")


async def test_one_who_asked_and_went_gets_nothing(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "ANSWER_SECONDS", 0.5)
    first, second = await waiting.in_control(), await waiting.watch()
    await second.say("control")
    await first.of("asked")
    await second.ws.close()
    await first.of("state", watchers=1)
    await asyncio.sleep(0.6)
    await first.say("paste", text="x")
    await until(lambda: waiting.page.done == [("insert", "x")])


async def test_lost_connection_gives_control_back_but_not_at_once(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await waiting.in_control()
    await first.say("key", action="down", key="Shift")
    await first.ws.close()
    await until(lambda: ("up", "Shift", 0) in waiting.page.done)
    assert (await waiting.waiting())["controlled"]
    back = await waiting.in_control()  # the same person, who need not ask
    monkeypatch.setattr(control, "AWAY_SECONDS", 0.05)
    other = await waiting.watch()
    await back.ws.close()
    await other.of("state", control="free", watchers=1)
    await other.say("control")
    await other.of("state", control="you")
    assert not live_of(waiting).wait.ended.is_set()


async def test_whoever_asks_one_who_is_away_gets_it_once_that_time_is_up(
    make_waiting: MakeWaiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "AWAY_SECONDS", 0.2)
    waiting = await make_waiting()
    first, second = await waiting.in_control(), await waiting.watch()
    live = live_of(waiting)
    (holder,) = (w for w in live.watchers if w is live.control.holder)
    holder._client = "elsewhere"
    await first.ws.close()
    await second.of("state", watchers=1)
    await second.say("control")
    await second.of("state", control="you")


async def test_each_control_leaves_an_audit_trail_without_what_was_typed(
    make_waiting: MakeWaiting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    waiting = await make_waiting(api_key=(A, B))
    viewer = await waiting.in_control(X_API_Key=A)
    await viewer.say("paste", text="CANARY-typed")
    await viewer.say("key", action="down", key="CANARY-typed")
    await viewer.error()
    await until(lambda: len(waiting.page.done) == 1)
    waiting.page.closed = True
    await viewer.say("paste", text="CANARY-typed")
    assert await viewer.error() == "page_gone"
    await viewer.say("release")
    await viewer.of("state", control="free")
    lines = [r for r in caplog.records if r.name == "captcha_bypass.human.control"]
    assert [line.getMessage() for line in lines] == [
        "control of a page was taken",
        "control of a page was given back",
    ]
    for line in lines:
        assert line.__dict__["task_id"] == waiting.task_id
        assert (line.__dict__["who"], line.__dict__["client"]) == ("key 0", "127.0.0.1")
    assert lines[1].__dict__["seconds"] >= 0
    assert "CANARY" not in caplog.text


# Floods


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count a flood as one, however long a busy machine takes to send it."""
    monkeypatch.setattr(watcher_module, "MAX_RATE", 1.0)


@pytest.mark.usefixtures("at_once")
async def test_flood_of_messages_is_cut_off_and_others_stay(waiting: Waiting) -> None:
    flooding, other = await waiting.in_control(), await waiting.watch()
    await other.picture()
    for number in range(int(watcher_module.MAX_BURST) + 50):
        await flooding.say("mouse", action="move", x=number % WIDTH, y=5)
    assert await flooding.closed() == 1008
    waiting.page.show("second")
    await other.say("ack")
    assert await other.picture() == jpeg("second")


@pytest.mark.usefixtures("at_once")
async def test_flood_of_pings_is_cut_off(waiting: Waiting) -> None:
    viewer = await waiting.watch()
    for _ in range(int(watcher_module.MAX_BURST) + 50):
        await viewer.ws.ping()
    assert await viewer.closed() == 1008


async def test_message_without_measure_is_cut_off(waiting: Waiting) -> None:
    viewer = await waiting.watch()
    await viewer.ws.send_str("x" * (watcher_module.MAX_MESSAGE_BYTES + 1))
    assert await viewer.closed() == 1009


async def test_page_that_takes_no_input_gets_no_queue_of_it(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "MOST_WAITING", 3)
    viewer = await waiting.in_control()
    waiting.page.answers.clear()
    await viewer.say("mouse", action="move", x=0, y=5)
    await until(lambda: waiting.page.begun == 1)
    for number in range(1, 20):  # one is under way; of moves only the last counts
        await viewer.say("mouse", action="move", x=number, y=5)
    for _ in range(3):
        await viewer.say("paste", text="x")
    assert await viewer.error() == "page_busy"
    waiting.page.answers.set()
    await until(lambda: len(waiting.page.done) == 4)
    assert [what for what, *_ in waiting.page.done] == ["move", "move", "insert", "insert"]
    assert waiting.page.done[1] == ("move", 19, 5)


async def test_input_that_a_page_does_not_take_in_time_is_told(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "INPUT_SECONDS", 0.05)
    viewer = await waiting.in_control()
    waiting.page.answers.clear()
    await viewer.say("paste", text="x")
    assert await viewer.error() == "page_busy"


# Who may, and the end


async def test_page_is_its_owners_alone(make_waiting: MakeWaiting) -> None:
    waiting = await make_waiting(api_key=(A, B))
    cookies = [await waiting.dashboard.log_in(key) for key in (A, B)]
    own = {"Origin": waiting.dashboard.origin}
    assert await waiting.refusal() == 401
    assert await waiting.refusal(X_API_Key=B) == 404
    assert await waiting.refusal(Cookie=cookies[1], **own) == 404
    assert await waiting.refusal(Cookie=cookies[0]) == 403
    assert await waiting.refusal(Cookie=cookies[0], Origin="https://evil.test") == 403
    viewer = await waiting.watch(Cookie=cookies[0], **own)
    await viewer.picture()
    other = await waiting.watch(X_API_Key=A)
    await waiting.dashboard.ask("POST", "/dashboard/logout", cookies[0], **own)
    assert await viewer.closed() == watcher_module.LOGGED_OUT
    await other.picture()


async def test_without_keys_no_page_of_another_origin_may_watch(waiting: Waiting) -> None:
    assert await waiting.refusal(Origin="https://evil.test") == 403
    assert await waiting.refusal(Sec_Fetch_Site="cross-site") == 403
    assert await waiting.refusal(Host="evil.test") == 403
    await (await waiting.watch(Origin=waiting.dashboard.origin)).picture()
    answer = await waiting.dashboard.ask("GET", f"/dashboard/api/tasks/{waiting.task_id}/live")
    assert (answer.status, (await answer.json())["error"]["code"]) == (400, "invalid_request")


async def test_person_who_leaves_ends_the_wait(waiting: Waiting) -> None:
    viewer = await waiting.in_control()
    await viewer.say("leave")
    assert (await viewer.of("ended"))["outcome"] == "timeout"
    assert await viewer.closed() == 1000
    assert await waiting.waiting() is None
    assert await waiting.refusal() == 404


async def test_all_who_watch_are_told_how_it_ended(waiting: Waiting) -> None:
    viewers = [await waiting.watch() for _ in range(3)]
    wait = waiting.tasks.waits.get(waiting.task_id)
    assert wait is not None
    wait.end("solved")
    told = await asyncio.gather(*(viewer.of("ended") for viewer in viewers))
    assert [last["outcome"] for last in told] == ["completed"] * 3
    assert await asyncio.gather(*(viewer.closed() for viewer in viewers)) == [1000] * 3


async def test_deleted_task_hangs_up(waiting: Waiting) -> None:
    viewer = await waiting.in_control()
    assert (await waiting.dashboard.ask("DELETE", f"/task/{waiting.task_id}")).status == 200
    assert (await viewer.of("ended"))["outcome"] == "cancelled"
    assert await viewer.closed() == 1000


async def test_shutdown_hangs_up_at_once(waiting: Waiting) -> None:
    viewer = await waiting.in_control()
    await waiting.dashboard.app.shutdown()
    assert await viewer.closed() == 1001
