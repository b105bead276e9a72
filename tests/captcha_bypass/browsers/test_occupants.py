"""What those who have pages in a browser are told of its end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from captcha_bypass.browsers.lease import Lease
from captcha_bypass.browsers.occupants import Occupants
from captcha_bypass.browsers.retirement import FAULTS, Cause
from captcha_bypass.browsers.tab import Tab
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.rules import Destination
from captcha_bypass.errors import BrowserLost, TaskError

PERMIT = Permit(Destination.of("http://site.test/"))


class Opened:
    """A place with one page, which is at an address."""

    def __init__(self, url: str) -> None:
        page: Any = SimpleNamespace(url=url)
        guard: Any = SimpleNamespace(overrun=None)
        self.tab = Tab(page, guard)

    async def open(self, permit: object) -> Tab:
        return self.tab

    def loss(self, *, suspect: bool) -> TaskError:
        return BrowserLost(suspect=suspect)


async def lent(occupants: Occupants, url: str) -> Lease:
    place: Any = Opened(url)
    lease = Lease(place)
    await lease.open(PERMIT)
    occupants.seat(lease)
    return lease


@pytest.mark.parametrize("cause", list(FAULTS))
async def test_only_page_that_was_shown_is_told_what_it_did(cause: Cause) -> None:
    occupants = Occupants(100)
    page = await lent(occupants, "http://site.test/")
    fresh = await lent(Occupants(100) if cause == "crash" else occupants, "about:blank")
    occupants.tell_end(cause)
    with pytest.raises(TaskError) as caught:
        page.raise_if_dead()
    assert caught.value.code == FAULTS[cause][0]
    if cause != "crash":
        with pytest.raises(BrowserLost) as lost:
            fresh.raise_if_dead()
        assert not lost.value.suspect


@pytest.mark.parametrize("cause", list(FAULTS))
async def test_pages_of_which_any_may_have_done_it_start_again_alone(cause: Cause) -> None:
    occupants = Occupants(100)
    pages = [await lent(occupants, f"http://{host}.test/") for host in ("site", "other")]
    occupants.tell_end(cause)
    for page in pages:
        with pytest.raises(BrowserLost) as caught:
            page.raise_if_dead()
        assert caught.value.suspect


async def test_page_that_crashed_is_told_and_no_other() -> None:
    occupants = Occupants(100)
    crashed, other = [await lent(occupants, "http://site.test/") for _ in range(2)]
    occupants.tell_page_crash(crashed.place.tab.page)  # type: ignore[attr-defined]
    with pytest.raises(TaskError) as caught:
        crashed.raise_if_dead()
    assert caught.value.code == "browser_crashed"
    other.raise_if_dead()
