"""Requests that wait: in Scrapy's own scheduler, with Scrapy's own downloader."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Request
from scrapy.core.downloader import Downloader, Slot
from scrapy.crawler import Crawler
from scrapy.http.request import NO_CALLBACK

import captcha_bypass_scrapy.parking as parking_module
from captcha_bypass_scrapy import request_state, resending
from captcha_bypass_scrapy.compat import scheduler_of
from captcha_bypass_scrapy.parking import BEHIND_ALL, Obstacle, Parking
from tests.captcha_bypass_scrapy.engines import opened
from tests.support.service import eventually

HOST, OTHER = "a.example", "b.example"
PAGE = f"http://{HOST}/page"
ROBOTS = Request(
    f"http://{HOST}/robots.txt", callback=NO_CALLBACK, meta={"dont_obey_robotstxt": True}
)
#: One that knows nothing of download slots.
PLAIN_QUEUE = "scrapy.pqueues.ScrapyPriorityQueue"


@pytest.fixture
async def crawler() -> AsyncIterator[Crawler]:
    async with opened() as crawler:
        crawler.engine.pause()  # nothing leaves the scheduler unless the test takes it
        yield crawler


@pytest.fixture
def parking(crawler: Crawler, monkeypatch: pytest.MonkeyPatch) -> Parking:
    monkeypatch.setattr(parking_module, "WAIT_SECONDS", 0.2)
    return Parking(crawler)


@pytest.fixture
def patient(parking: Parking, monkeypatch: pytest.MonkeyPatch) -> Parking:
    """One whose moments last longer than any pause of a busy machine."""
    monkeypatch.setattr(parking_module, "WAIT_SECONDS", 60.0)
    return parking


def downloader_of(crawler: Crawler) -> Downloader:
    found = crawler.engine.downloader
    assert isinstance(found, Downloader)
    return found


def slot_in(crawler: Crawler, name: str = HOST) -> Slot:
    """Have the downloader know a slot, as it does after a first request."""
    return downloader_of(crawler).slots.setdefault(name, Slot(8, 0.0, 0.0))


def event() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


def is_marked(slot: Slot) -> bool:
    """Whether the default queue takes it for a busy one."""
    return len(slot.active) >= 100


async def seconds_of(waiting: Any) -> tuple[Any, float]:  # noqa: ANN401 - any coroutine
    started = time.monotonic()
    return await waiting, time.monotonic() - started


# Back to the scheduler


def test_copy_comes_after_everything_else_and_is_itself_when_it_comes_by(
    parking: Parking,
) -> None:
    copy = parking.send(Request(PAGE, priority=5))

    assert copy.priority == 5 - BEHIND_ALL
    assert copy.dont_filter
    parking.scheduled(copy)
    assert not parking.pop_unscheduled(copy)
    assert resending.restore(copy) is True
    assert (copy.priority, copy.dont_filter) == (5, False)


def test_copy_that_was_not_scheduled_belongs_to_somebody_who_awaits_it(parking: Parking) -> None:
    copy = parking.send(Request(PAGE))

    assert parking.pop_unscheduled(copy)
    assert not parking.pop_unscheduled(copy)
    assert not parking.pop_unscheduled(Request(PAGE))


@pytest.mark.parametrize(
    ("settings", "meta", "priority"),
    [
        ({}, {}, 4),  # Scrapy's RETRY_PRIORITY_ADJUST is -1
        ({"RETRY_PRIORITY_ADJUST": -7}, {}, -2),
        ({}, {"priority_adjust": 3}, 8),
    ],
)
async def test_request_that_steps_back_is_put_off_as_one_that_is_retried(
    settings: dict[str, Any], meta: dict[str, Any], priority: int
) -> None:
    request = Request(PAGE, priority=5, meta=meta)
    request_state.wait_for(request, 1, leads=True)
    async with opened(**settings) as crawler:
        Parking(crawler).step_back(request)

    assert request.priority == priority
    assert not request_state.has_led(request, 1)


# A moment here


async def test_event_that_comes_ends_the_wait_at_once(patient: Parking) -> None:
    solved = event()
    asyncio.get_running_loop().call_later(0.01, solved.set_result, None)

    again, seconds = await seconds_of(patient.wait(Request(PAGE), Obstacle(solved), first=False))

    assert again is True
    assert seconds < 10


@pytest.mark.parametrize(
    ("obstacle", "again"),
    [(Obstacle(None, 0.05), True), (Obstacle(None, 60.0), False)],
    ids=["soon over", "not soon"],
)
async def test_time_is_waited_for_if_it_is_short(
    parking: Parking, obstacle: Obstacle, *, again: bool
) -> None:
    found, seconds = await seconds_of(parking.wait(Request(PAGE), obstacle, first=False))

    assert found is again
    assert min(obstacle.seconds, 0.2) <= seconds < 20


async def test_event_that_does_not_come_is_waited_for_in_the_scheduler(parking: Parking) -> None:
    found = await parking.wait(Request(PAGE), Obstacle(event()), first=False)

    assert found is False


async def test_new_request_takes_the_place_of_the_one_that_waits_longest(
    patient: Parking,
) -> None:
    never = Obstacle(event())
    first, second = (
        asyncio.create_task(patient.wait(Request(f"{PAGE}/{n}"), never, first=False))
        for n in range(2)
    )
    await asyncio.sleep(0.01)

    patient.scheduled(Request(f"http://{OTHER}/"))
    await asyncio.sleep(0.01)

    assert (first.done(), second.done()) == (True, False)
    assert await first is False
    patient.scheduled(Request(f"http://{OTHER}/2"))
    assert await second is False


async def test_parked_request_that_is_scheduled_needs_nobodys_place(parking: Parking) -> None:
    waiting = asyncio.create_task(parking.wait(Request(PAGE), Obstacle(None, 0.1), first=False))
    await asyncio.sleep(0.01)

    parking.scheduled(parking.send(Request(f"{PAGE}/2")))

    assert await waiting is True


async def test_cancelled_wait_leaves_nothing_behind(patient: Parking) -> None:
    waiting = asyncio.create_task(patient.wait(Request(PAGE), Obstacle(event()), first=False))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    patient.scheduled(Request(f"http://{OTHER}/"))  # there is nobody to be sent away

    assert waiting.cancelled()


# Whose turn it is


async def test_other_hosts_come_out_of_the_queue_before_one_that_waits(
    crawler: Crawler, parking: Parking
) -> None:
    slot_in(crawler)
    scheduler = scheduler_of(crawler)
    for n in range(10):
        scheduler.enqueue_request(Request(f"{PAGE}/{n}", priority=10))
    for n in range(3):
        scheduler.enqueue_request(Request(f"http://{OTHER}/{n}"))
    solved = event()

    found = await parking.wait(Request(PAGE), Obstacle(solved), first=True)
    out = [scheduler.next_request() for _ in range(13)]

    assert found is False  # it goes back at once
    hosts = [request.url.split("/")[2] for request in out if request is not None]
    assert hosts == [OTHER] * 3 + [HOST] * 10


async def test_host_that_is_known_to_wait_is_waited_for(crawler: Crawler, parking: Parking) -> None:
    """Everything else in the scheduler has come before."""
    slot_in(crawler)
    await parking.wait(Request(PAGE), Obstacle(event()), first=True)

    found, seconds = await seconds_of(
        parking.wait(Request(f"{PAGE}/2"), Obstacle(None, 0.05), first=True)
    )

    assert found is True
    assert seconds >= 0.05


async def test_queue_that_knows_no_slots_has_a_first_pass_for_each_request() -> None:
    async with opened(SCHEDULER_PRIORITY_QUEUE=PLAIN_QUEUE) as crawler:
        slot = slot_in(crawler)
        parking = Parking(crawler)
        soon = Obstacle(None, 0.05)

        assert await parking.wait(Request(PAGE), soon, first=True) is False
        assert await parking.wait(Request(PAGE), soon, first=False) is True
        assert not is_marked(slot)


async def test_slot_looks_busy_until_its_solve_is_over(crawler: Crawler, parking: Parking) -> None:
    slot, solved = slot_in(crawler), event()
    own = Request(f"{PAGE}/under/way")
    slot.active.add(own)
    await parking.wait(Request(PAGE), Obstacle(solved), first=True)
    assert is_marked(slot)

    solved.set_result(None)
    await asyncio.sleep(0)

    assert slot.active == {own}


async def test_slot_looks_busy_for_as_long_as_a_host_rests(
    crawler: Crawler, parking: Parking
) -> None:
    slot = slot_in(crawler)
    await parking.wait(Request(PAGE), Obstacle(None, 0.5), first=True)
    assert is_marked(slot)

    assert await eventually(lambda: not is_marked(slot), 60)


async def test_slot_is_open_again_when_its_requests_need_not_wait(
    crawler: Crawler, parking: Parking
) -> None:
    """Before the solve is over: only other pages are challenged."""
    slot, freed = slot_in(crawler), event()
    await parking.wait(Request(PAGE), Obstacle(event(), freed=freed), first=True)
    assert is_marked(slot)

    freed.set_result(None)
    await asyncio.sleep(0)

    assert not is_marked(slot)


@pytest.mark.parametrize("closed", [False, True])
async def test_new_request_of_a_waiting_host_comes_out_if_it_can_go_on(
    crawler: Crawler, parking: Parking, *, closed: bool
) -> None:
    """Where the whole host waits, taking it out would be churn."""
    slot = slot_in(crawler)
    freed = event() if closed else None
    await parking.wait(Request(PAGE), Obstacle(event(), freed=freed), first=True)

    parking.scheduled(Request(f"{PAGE}/2"))

    assert is_marked(slot) is closed


async def test_new_request_of_another_host_changes_nothing_for_it(
    crawler: Crawler, parking: Parking
) -> None:
    slot = slot_in(crawler)
    await parking.wait(Request(PAGE), Obstacle(event()), first=True)

    parking.scheduled(Request(f"http://{OTHER}/"))

    assert is_marked(slot)


async def test_slot_that_a_request_names_is_its_slot(crawler: Crawler, parking: Parking) -> None:
    named, unnamed = slot_in(crawler, "mine"), slot_in(crawler)

    await parking.wait(Request(PAGE, meta={"download_slot": "mine"}), Obstacle(event()), first=True)

    assert (is_marked(named), is_marked(unnamed)) == (True, False)


async def test_waiting_works_with_another_downloader(
    crawler: Crawler, monkeypatch: pytest.MonkeyPatch
) -> None:
    own: Any = SimpleNamespace()
    found: Any = SimpleNamespace(
        engine=SimpleNamespace(downloader=own, _slot=None), settings=crawler.settings
    )
    parking = Parking(found)
    soon = Obstacle(None, 0.01)

    assert await parking.wait(Request(PAGE), soon, first=True) is False
    assert await parking.wait(Request(PAGE), soon, first=False) is True
    await parking.wait_in_place(Request(PAGE), soon)


# In place


async def test_place_of_a_request_that_cannot_leave_is_lent_to_others(
    crawler: Crawler, patient: Parking
) -> None:
    request, solved = Request(PAGE), event()
    active = downloader_of(crawler).active
    active.add(request)
    waiting = asyncio.create_task(patient.wait_in_place(request, Obstacle(solved)))
    await asyncio.sleep(0.01)

    assert request not in active
    assert patient.is_lending()  # so the spider is not idle
    solved.set_result(None)
    await waiting
    assert request in active
    assert not patient.is_lending()
    active.clear()


@pytest.mark.parametrize("obstacle", ["event", "time"])
async def test_wait_in_place_ends_in_a_moment_to_look_again(
    parking: Parking, obstacle: str
) -> None:
    what = Obstacle(event()) if obstacle == "event" else Obstacle(None, 60.0)

    _, seconds = await seconds_of(parking.wait_in_place(Request(PAGE), what))

    assert 0.2 <= seconds < 20


async def test_place_is_given_back_when_the_wait_is_cancelled(
    crawler: Crawler, parking: Parking
) -> None:
    request = Request(PAGE)
    active = downloader_of(crawler).active
    active.add(request)
    waiting = asyncio.create_task(parking.wait_in_place(request, Obstacle(event())))
    await asyncio.sleep(0.01)

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert request in active
    assert not parking.is_lending()
    active.clear()


async def test_request_without_a_place_is_not_given_one(crawler: Crawler, parking: Parking) -> None:
    with parking.place_lent(Request(PAGE)):
        pass

    assert downloader_of(crawler).active == set()


async def test_host_of_a_request_that_waits_in_place_looks_busy_too(
    crawler: Crawler, parking: Parking
) -> None:
    slot = slot_in(crawler)

    await parking.wait_in_place(Request(PAGE), Obstacle(event()))

    assert is_marked(slot)


async def test_lent_place_is_used_by_the_engine_at_once() -> None:
    """It does not look for requests by itself while all places are taken."""
    async with opened(CONCURRENT_REQUESTS=1) as crawler:
        parking, taken = Parking(crawler), Request(PAGE)
        downloader_of(crawler).active.add(taken)
        scheduler = scheduler_of(crawler)
        scheduler.enqueue_request(Request("data:,other"))
        await asyncio.sleep(0.05)
        assert len(scheduler) == 1

        with parking.place_lent(taken):
            assert await eventually(lambda: len(scheduler) == 0, 60)
        downloader_of(crawler).active.clear()


async def test_those_that_wait_for_a_robots_txt_lend_their_places_with_it(
    crawler: Crawler, parking: Parking
) -> None:
    pages = [Request(f"{PAGE}/{n}") for n in range(3)]
    careless = Request(PAGE, meta={"dont_obey_robotstxt": True})
    elsewhere = Request(f"http://{OTHER}/")
    active = downloader_of(crawler).active
    active.update([ROBOTS, *pages, careless, elsewhere])

    with parking.place_lent(ROBOTS):
        assert active == {careless, elsewhere}

    assert active == {ROBOTS, *pages, careless, elsewhere}
    active.clear()


@pytest.mark.parametrize(
    "request_",
    [
        Request(f"http://{HOST}/robots.txt"),  # the spider's own
        Request(f"http://{HOST}/robots.txt", callback=NO_CALLBACK),
        Request(PAGE, callback=NO_CALLBACK, meta={"dont_obey_robotstxt": True}),
    ],
    ids=["spider's", "media", "page"],
)
async def test_nobody_waits_for_another_file(
    crawler: Crawler, parking: Parking, request_: Request
) -> None:
    page = Request(PAGE)
    active = downloader_of(crawler).active
    active.add(page)

    with parking.place_lent(request_):
        assert active == {page}
    active.clear()


async def test_places_of_those_that_come_meanwhile_are_lent_soon(
    patient: Parking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A robots.txt is looked after often, for those that have begun to wait for it."""
    monkeypatch.setattr(parking_module, "LEND_SECONDS", 0.02)

    _, seconds = await seconds_of(patient.wait_in_place(ROBOTS, Obstacle(event())))

    assert seconds < 10
