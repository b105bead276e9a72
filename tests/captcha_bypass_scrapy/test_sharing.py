"""Which solves may be answered with what another crawl has got, and what is said when it is refused."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest
from scrapy import Request
from scrapy.http import Response

from captcha_bypass.challenges import Challenge
from captcha_bypass_scrapy.keys import SiteKey
from captcha_bypass_scrapy.sharing import START_SECONDS, Sharing, before_crawl, process_seconds
from tests.captcha_bypass_scrapy.benches import PAGE, SITE, Bench, Benches
from tests.captcha_bypass_scrapy.fake_service import FakeService, Json, page_of

KEY = SiteKey(SITE, None)


def sharing_as(fake: FakeService, *ids: str, age: float = 0.0, reused: bool = False) -> None:
    """Have the service hand over clearances of these ids, one after the other."""
    left = list(ids)

    async def answer(task: Json) -> Json:
        told = {"id": left.pop(0), "age": age, "reused": reused}
        cookie = {"name": "cf_clearance", "value": told["id"], "domain": "site.example"}
        data = page_of(task, cookies=[cookie], clearance=told, solved="cloudflare")
        return {"status": "completed", "error": None, "data": data}

    fake.answer = answer


def max_age(bench: Bench, request: Request, vendor: str = "cloudflare", **of: object) -> object:
    found = bench.challenged(request)
    object.__setattr__(found, "challenge", Challenge(vendor, "automatic"))
    return Sharing(bench.config.reuse, bench.detect).max_age(found)


# Whether, and how old


async def test_clearance_may_be_as_old_as_the_crawl(bench: Benches, fake: FakeService) -> None:
    async with bench() as found:
        first = max_age(found, Request(PAGE))
        sharing = Sharing(found.config.reuse, found.detect)
        await asyncio.sleep(0.01)
        later = sharing.max_age(found.challenged(Request(PAGE)))
    assert isinstance(first, float)
    assert later is not None
    assert 0.01 <= later < first + 60


@pytest.mark.parametrize(("reuse", "age"), [(False, None), (90.0, 90.0)])
async def test_setting_says_whether_and_how_old(
    bench: Benches, reuse: bool | float, age: float | None
) -> None:
    async with bench(reuse=reuse) as found:
        assert max_age(found, Request(PAGE)) == age


async def test_page_that_is_the_answer_is_not_shared(bench: Benches) -> None:
    async with bench(mode="html", reuse=90.0) as found:
        assert max_age(found, Request(PAGE)) is None
        assert max_age(found, Request(PAGE, method="POST")) == 90.0


async def test_page_that_a_detector_has_to_see_is_not_shared(bench: Benches) -> None:
    def detector(response: Response) -> None:
        return None

    async with bench(detector=detector, reuse=90.0) as found:
        assert max_age(found, Request(PAGE)) is None
        own = {"captcha_bypass": {"success_text": "Welcome"}}
        assert max_age(found, Request(PAGE, meta=own)) == 90.0


@pytest.mark.parametrize(
    ("vendor", "cookies", "shares"),
    [
        ("cloudflare", "login=1", True),
        ("captcha", "", True),
        ("captcha", "login=1", False),
        ("vercel", "login=1", False),
    ],
)
async def test_login_is_shared_with_nobody_where_it_may_be_what_gets_through(
    bench: Benches, vendor: str, cookies: str, *, shares: bool
) -> None:
    headers = {"Cookie": cookies} if cookies else {}
    async with bench(reuse=90.0) as found:
        age = max_age(found, Request(PAGE, headers=headers), vendor)
        assert (age is not None) == shares


def test_crawl_began_with_its_process_unless_that_has_done_something_else_first() -> None:
    assert before_crawl(5.0) == 5.0
    assert before_crawl(START_SECONDS + 1) == before_crawl(-1.0) == 0.0


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say")
def test_process_knows_when_it_began() -> None:
    code = (
        "import time; time.sleep(0.3)\n"
        "from captcha_bypass_scrapy.sharing import process_seconds; print(process_seconds())"
    )
    started = time.monotonic()
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert 0.3 <= float(told.stdout) <= time.monotonic() - started + 0.1
    assert process_seconds() > 0


# What is asked and said


async def test_solve_says_how_old_a_clearance_may_be_and_keeps_what_it_is(
    bench: Benches, fake: FakeService
) -> None:
    sharing_as(fake, "one", age=5.0, reused=True)
    async with bench(reuse=90.0) as found:
        clearance = await found.clear(Request(PAGE))
        assert found.stat("solve/reused") == 1
    assert fake.tasks[0]["reuse"] == 90.0
    assert (clearance.shared_id, clearance.reused, clearance.borrowed) == ("one", True, True)
    assert clearance.older_than(5.0)
    assert not clearance.older_than(60.0)
    assert fake.refused == []


async def test_clearance_that_was_solved_for_the_crawl_is_not_borrowed(
    bench: Benches, fake: FakeService
) -> None:
    sharing_as(fake, "one")
    async with bench() as found:
        clearance = await found.clear(Request(PAGE))
        assert found.stat("solve/reused") is None
    assert (clearance.reused, clearance.borrowed) == (False, False)


async def test_next_solve_refuses_the_last_clearance_first(
    bench: Benches, fake: FakeService
) -> None:
    sharing_as(fake, "one", "two")
    async with bench(reuse=90.0) as found:
        await found.clear(Request(PAGE))
        clearance = await found.clear(Request(PAGE))
    assert clearance.shared_id == "two"
    assert fake.refused == ["one"]
    assert [task["reuse"] for task in fake.tasks] == [90.0, 90.0]


async def test_solve_asks_for_one_of_its_own_where_the_refusal_was_not_heard(
    bench: Benches, fake: FakeService
) -> None:
    sharing_as(fake, "one", "two")
    fake.hears = False
    async with bench() as found:
        await found.clear(Request(PAGE))
        await found.clear(Request(PAGE))
    assert ["reuse" in task for task in fake.tasks] == [True, False]


async def test_crawl_that_does_not_share_says_nothing(bench: Benches, fake: FakeService) -> None:
    sharing_as(fake, "one", "two")
    async with bench(reuse=False) as found:
        await found.clear(Request(PAGE))
        await found.clear(Request(PAGE))
    assert fake.refused == []
    assert not any("reuse" in task for task in fake.tasks)


async def test_clearance_of_another_host_is_not_refused_for_this_one(
    bench: Benches, fake: FakeService
) -> None:
    async with bench() as found:
        sharing_as(fake, "one", "two")
        clearance = await found.clear(Request(PAGE))
        assert await found.solver.refuse(clearance, SiteKey("http://www.site.example", None))
        assert fake.refused == []
        assert await found.solver.refuse(clearance, KEY) is True
        assert await found.solver.refuse(clearance, KEY) is False
        fake.hears = False
        assert await found.solver.refuse(clearance, KEY) is None


async def test_page_that_met_no_challenge_is_not_taken_for_the_next_page_s_clearance(
    bench: Benches, fake: FakeService
) -> None:
    """A file's Referer is opened first, and may be open while the file is not."""

    async def answer(task: Json) -> Json:
        told = {"id": "one", "age": 5.0, "reused": True} if "reuse" in task else None
        data = page_of(task, clearance=told, solved=None if told else "cloudflare")
        return {"status": "completed", "error": None, "data": data}

    from scrapy.http.request import NO_CALLBACK

    fake.answer = answer
    async with bench() as found:
        await found.clear(Request(f"{SITE}/file.png", callback=NO_CALLBACK))
    assert ["reuse" in task for task in fake.tasks] == [True, False]


async def test_cookies_that_no_vendor_is_known_by_stay_here_and_are_kept(
    bench: Benches, fake: FakeService
) -> None:
    """The service gives nobody what a task brings along; and one challenge's cookie is not another's."""
    left = [["gate_one", "cf_clearance"], ["gate_two"]]

    async def answer(task: Json) -> Json:
        names = left.pop(0)
        cookies = [{"name": n, "value": n, "domain": "site.example", "path": "/"} for n in names]
        return {
            "status": "completed",
            "error": None,
            "data": page_of(task, cookies=cookies, solved="cloudflare"),
        }

    fake.answer = answer
    async with bench(cookies="all") as found:
        await found.clear(Request(PAGE))
        clearance = await found.clear(Request(PAGE))
    assert [one["name"] for one in fake.tasks[1]["cookies"]] == ["cf_clearance"]
    assert [one.name for one in clearance.cookies] == ["gate_one", "cf_clearance", "gate_two"]
