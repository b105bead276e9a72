"""Which page a request is sent through, and what becomes of pages that are worn or spoilt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from captcha_bypass.browsers.tab import Tab
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.rules import Destination
from captcha_bypass.errors import BrowserLost, TaskError
from captcha_bypass.fetching import sender as module
from captcha_bypass.fetching.messages import Answer, PageSpoilt, Request
from captcha_bypass.fetching.sender import NotSent, Sender, Wanted
from captcha_bypass.wire.task import SessionKey
from tests.support.scripted_queue import until

KEY = SessionKey("one", "site-1", of_site=True)
PERMIT = Permit(Destination("site.test", 80))
URL = "http://site.test/x"


class Page:
    """One page, and what its fetches do."""

    def __init__(self) -> None:
        self.fetched = 0
        self.worn_after = 10**9
        self.fails: Callable[[], None] = lambda: None
        self.open = True
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def evaluate(self, _: str) -> str:
        return "agent"


class FakeFetcher:
    def __init__(self, page: Page, origin: str, *, at_once: int) -> None:
        self._page = page
        assert (origin, at_once) == ("http://site.test", 6)

    @property
    def is_worn(self) -> bool:
        return self._page.fetched >= self._page.worn_after

    async def open(self) -> None:
        pass

    async def fetch(self, request: Request, *, timeout: float, max_bytes: int) -> Answer:
        assert self._page.open, "it is used after it was closed"
        self._page.fetched += 1
        self._page.fails()
        await self._page.go_on.wait()
        return Answer(request.url, 200, (), b"", None, 0.0)


class FakeSessions:
    """One session; also its own visit."""

    def __init__(self) -> None:
        self.pages: list[Page] = []
        self.tabs: list[Tab] = []
        self.current: Tab | None = None
        self.settled = True
        self.lost: Exception | None = None
        #: What the guard knows.
        self.told: TaskError | None = None
        self.prepare: Callable[[Page], None] = lambda page: None

    def is_settled(self, key: SessionKey) -> bool:
        return self.settled

    @asynccontextmanager
    async def visit(self, key: SessionKey, permit: Permit, origin: str) -> AsyncIterator[Any]:
        if self.lost is not None:
            raise self.lost
        yield self

    async def tab(self) -> Tab:
        if self.current is None:
            page = Page()
            self.prepare(page)
            self.pages.append(page)
            self.current = Tab(cast("Any", page), cast("Any", None))
        return self.current

    def replace(self, tab: Tab) -> None:
        if self.current is tab:
            self.current = None

    async def give_up(self, tab: Tab) -> None:
        self.replace(tab)
        cast("Page", tab.page).open = False

    def failure(self, url: str) -> TaskError | None:
        return self.told


@pytest.fixture
async def sessions(monkeypatch: pytest.MonkeyPatch) -> FakeSessions:
    monkeypatch.setattr(module, "Fetcher", FakeFetcher)
    return FakeSessions()


@pytest.fixture
async def send(sessions: FakeSessions) -> AsyncIterator[Callable[[], Any]]:
    sender = Sender(cast("Any", sessions), at_once=6, max_bytes=1000)

    async def send() -> int:
        deadline = asyncio.get_running_loop().time() + 5
        sent = await sender.send(KEY, PERMIT, Wanted(Request(URL)), deadline)
        assert sent.user_agent == "agent"
        return sent.answer.status

    yield send
    await sender.close()


def spoil(*, sent: bool) -> Callable[[], None]:
    def fail() -> None:
        raise PageSpoilt("it is spoilt", sent=sent)

    return fail


async def test_worn_page_is_replaced_and_closed_by_who_uses_it_last(
    sessions: FakeSessions, send: Callable[[], Any]
) -> None:
    sessions.prepare = lambda page: setattr(page, "worn_after", 3)
    assert [await send() for _ in range(2)] == [200, 200]
    (first,) = sessions.pages
    first.go_on.clear()
    held = [asyncio.create_task(send()) for _ in range(2)]
    await until(lambda: first.fetched == 4)
    first.go_on.set()
    assert await asyncio.gather(*held) == [200, 200]
    assert [await send() for _ in range(2)] == [200, 200]
    assert [page.open for page in sessions.pages] == [False, True]


async def test_spoilt_page_that_has_sent_nothing_is_replaced(
    sessions: FakeSessions, send: Callable[[], Any]
) -> None:
    spoilt = spoil(sent=False)
    sessions.prepare = lambda page: None if sessions.pages else setattr(page, "fails", spoilt)
    assert await send() == 200
    await asyncio.sleep(0)
    assert [page.open for page in sessions.pages] == [False, True]


async def test_request_that_may_have_been_sent_is_not_sent_again(
    sessions: FakeSessions, send: Callable[[], Any]
) -> None:
    sessions.prepare = lambda page: setattr(page, "fails", spoil(sent=True))
    with pytest.raises(TaskError, match="may have reached") as caught:
        await send()
    assert caught.value.code == "browser_crashed"
    assert len(sessions.pages) == 1


def refuse() -> None:
    raise TaskError("navigation_error", "as the browser sees it")


@pytest.mark.parametrize(
    ("told", "fails", "code", "says"),
    [
        (TaskError("dns_error", "m"), refuse, "dns_error", "m"),
        (None, refuse, "navigation_error", "as the browser"),
        (TaskError("too_much_traffic", "block"), refuse, "too_much_traffic", "raise"),
        (TaskError("too_much_traffic", "block"), spoil(sent=True), "too_much_traffic", "raise"),
    ],
)
async def test_guard_knows_better_than_the_browser_why_there_is_no_answer(
    sessions: FakeSessions,
    send: Callable[[], Any],
    told: TaskError | None,
    fails: Callable[[], None],
    code: str,
    says: str,
) -> None:
    sessions.told = told
    sessions.prepare = lambda page: setattr(page, "fails", fails)
    with pytest.raises(TaskError, match=says) as caught:
        await send()
    assert caught.value.code == code


async def test_pages_that_never_send_are_not_tried_for_ever(
    sessions: FakeSessions, send: Callable[[], Any]
) -> None:
    sessions.prepare = lambda page: setattr(page, "fails", spoil(sent=False))
    with pytest.raises(TaskError) as caught:
        await send()
    assert caught.value.code == "navigation_error"
    assert len(sessions.pages) == 3
    sessions.settled = False
    with pytest.raises(NotSent):
        await send()


@pytest.mark.parametrize("lost", [TaskError("session_lost", "m"), BrowserLost()])
async def test_session_that_ended_before_says_that_nothing_was_sent(
    sessions: FakeSessions, send: Callable[[], Any], lost: TaskError
) -> None:
    sessions.lost = lost
    with pytest.raises(NotSent):
        await send()
