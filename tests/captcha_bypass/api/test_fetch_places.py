"""How many requests may be under way, and what they may hold, whichever route they came by."""

from __future__ import annotations

import pytest

from captcha_bypass.api.fetch_places import FetchPlaces
from captcha_bypass.config import Config
from captcha_bypass.errors import TaskError, TooManyWaiting
from captcha_bypass.wire.fetch import Fetched, FetchRequest

ASKED = FetchRequest(url="http://site.test/", timeout=1, method="POST", body="four")
FOUND = Fetched(404, (), "http://site.test/", b"page", None, None, "agent", 0.5)


class Scripted:
    """Answers, or fails as it is told."""

    def __init__(self, failure: Exception | None = None) -> None:
        self._failure = failure

    async def fetch(self, request: FetchRequest, owner: str) -> Fetched:
        if self._failure is not None:
            raise self._failure
        return FOUND


class Told:
    """What was reported."""

    def __init__(self) -> None:
        self.all: list[tuple[str, int, int]] = []

    def __call__(self, outcome: str, seconds: float, sent: int, received: int) -> None:
        self.all.append((outcome, sent, received))


def places(told: Told, failure: Exception | None = None) -> FetchPlaces:
    config = Config(workers=1, max_waiting=2, max_results_bytes=1024**2)
    return FetchPlaces(config, Scripted(failure), told)


def test_only_so_many_are_under_way_at_once() -> None:
    taken = places(Told())
    refused = pytest.raises(TooManyWaiting, match="--max-waiting")
    with taken.place(0), taken.place(0), refused, taken.place(0):
        pass
    with taken.place(0):
        pass


def test_what_they_hold_is_bounded_but_one_alone_may_be_as_large_as_it_is() -> None:
    taken = places(Told())
    refused = pytest.raises(TooManyWaiting, match="--max-results-bytes")
    with taken.place(2 * 1024**2), refused, taken.place(1):
        pass
    with taken.holding(1024**2), refused, taken.place(1):
        pass
    with taken.place(1):
        pass


async def test_answer_is_reported_with_the_bytes_of_both_bodies() -> None:
    told = Told()
    assert await places(told).send(ASKED, "owner") is FOUND
    assert told.all == [("answered", 4, 4)]


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (TaskError("dns_error", "m"), "dns_error"),
        (TooManyWaiting("m"), "too_many_waiting"),
        (ValueError("a bug"), "internal_error"),
    ],
)
async def test_failure_is_reported_by_its_code_and_passed_on(
    failure: Exception, outcome: str
) -> None:
    told = Told()
    with pytest.raises(type(failure)):
        await places(told, failure).send(ASKED, "owner")
    assert told.all == [(outcome, 4, 0)]
