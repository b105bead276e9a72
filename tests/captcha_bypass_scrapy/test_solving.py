"""One challenge through the service: for a clearance, or for the page itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from scrapy import Request
from scrapy.http import Response
from scrapy.http.request import NO_CALLBACK

from captcha_bypass_scrapy import request_state
from captcha_bypass_scrapy.errors import NotHandedOver, SolveError
from captcha_bypass_scrapy.keys import SiteKey
from tests.captcha_bypass_scrapy.benches import PAGE, SITE, Benches
from tests.captcha_bypass_scrapy.fake_service import FakeService, Json, page_of


def answering(fake: FakeService, **changes: object) -> None:
    """Have the service hand over pages like this."""

    async def answer(task: Json) -> Json:
        return {"status": "completed", "error": None, "data": page_of(task, **changes)}  # type: ignore[arg-type]

    fake.answer = answer


def cookie(name: str, value: str = "v", **changes: object) -> Json:
    return {"name": name, "value": value, "domain": "site.example", "path": "/", **changes}


# A clearance


async def test_clearance_is_stored_for_the_key_and_for_where_the_way_led(
    bench: Benches, fake: FakeService
) -> None:
    answering(fake, cookies=[cookie("cf_clearance"), cookie("session")], url=f"{SITE}:8080/x")
    async with bench() as found:
        clearance = await found.clear(Request(PAGE), "http://start.example/")

        assert [c.name for c in clearance.cookies] == ["cf_clearance"]
        assert (clearance.vendor, clearance.user_agent) == ("cloudflare", "FakeFirefox/1.0")
        for origin in (SITE, "http://start.example", f"{SITE}:8080"):
            assert found.clearances.current(SiteKey(origin, None)) is clearance
        assert found.stat("solve/count") == found.stat("solve/success") == 1


async def test_browser_is_given_what_the_request_brings_along_and_the_old_clearance(
    bench: Benches, fake: FakeService
) -> None:
    request = Request(
        PAGE,
        headers={"Cookie": "session=1; cf_clearance=mine", "X-Key": "k", "Accept": "a/b"},
        meta={"proxy": "http://u:v@p:1"},
    )
    answering(fake, cookies=[cookie("cf_clearance", "1"), cookie("__cf_bm", "2")])
    async with bench() as found:
        await found.clear(request)
        await found.clear(request)

    first, second = fake.tasks
    assert first["cookies"] == [{"name": "session", "value": "1", "url": PAGE}]
    assert first["headers"] == {"X-Key": "k"}
    assert first["proxy"] == {"server": "http://p:1", "username": "u", "password": "v"}
    assert {c["name"] for c in second["cookies"]} == {"session", "cf_clearance", "__cf_bm"}


async def test_proxy_may_be_kept_from_the_service(bench: Benches, fake: FakeService) -> None:
    async with bench(share_proxy=False) as found:
        await found.clear(Request(PAGE, meta={"proxy": "http://u:v@p:1"}))

    assert "proxy" not in fake.tasks[0]


async def test_cookies_that_the_request_brought_along_are_nobody_elses(
    bench: Benches, fake: FakeService
) -> None:
    answering(fake, cookies=[cookie("session", "browsers"), cookie("seen")])
    async with bench(cookies="all") as found:
        clearance = await found.clear(Request(PAGE, headers={"Cookie": "session=1"}))

        assert [c.name for c in clearance.cookies] == ["seen"]


async def test_failed_solve_is_told_with_its_time_and_stores_nothing(
    bench: Benches, fake: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    answering(fake, timeout_reached=True)
    request = Request(PAGE)
    async with bench() as found:
        with pytest.raises(SolveError, match="did not get through in 60 s"):
            await found.clear(request)

        assert not found.clearances
        assert found.stat("solve/failed") == 1
    assert any(r.levelname == "WARNING" and "Could not solve" in r.message for r in caplog.records)


# Which page is opened


MEDIA = Request(f"{SITE}/i.png", callback=NO_CALLBACK, headers={"Referer": f"{SITE}/list"})


@pytest.mark.parametrize(
    ("facts", "opened"),
    [
        ({"solved": "cloudflare"}, [f"{SITE}/list"]),
        ({"cookies": [cookie("cf_clearance", "new")]}, [f"{SITE}/list"]),
        ({}, [f"{SITE}/list", f"{SITE}/i.png"]),
        ({"cookies": [cookie("session")]}, [f"{SITE}/list", f"{SITE}/i.png"]),
    ],
    ids=["solved", "cookie", "nothing", "another cookie"],
)
async def test_browser_opens_the_file_itself_where_its_page_had_no_challenge(
    bench: Benches, fake: FakeService, facts: dict[str, Any], opened: list[str]
) -> None:
    answering(fake, **facts)
    async with bench() as found:
        await found.clear(MEDIA)

    assert [task["url"] for task in fake.tasks] == opened


async def test_cookie_that_was_there_before_does_not_convince(
    bench: Benches, fake: FakeService
) -> None:
    answering(fake, cookies=[cookie("cf_clearance", "old")])
    async with bench() as found:
        await found.clear(MEDIA)
        fake.tasks.clear()
        await found.clear(MEDIA)

    assert len(fake.tasks) == 2


# The page itself


async def test_browsers_page_is_the_response_and_the_request_is_clean(
    bench: Benches, fake: FakeService
) -> None:
    answering(fake, html="<p>by browser", url=f"{SITE}/moved")
    request = Request(PAGE, headers={"Accept": "a/b"})
    request_state.wait_for(request, 1)
    async with bench() as found:
        response = await found.page(request)

        assert (response.body, response.url) == (b"<p>by browser", f"{SITE}/moved")
        told = request.meta.pop("captcha_bypass")
        assert (told["vendor"], told["by"]) == ("cloudflare", "page")
        assert request.meta == {}
        assert found.stat("html/count") == 1
    assert fake.tasks[0]["headers"] == {"Accept": "a/b"}  # it is this request's own page


async def test_next_page_has_what_the_browser_got_for_this_one(
    bench: Benches, fake: FakeService
) -> None:
    answering(fake, cookies=[cookie("cf_clearance", "2"), cookie("login", "x")], user_agent="F/2")
    async with bench() as found:
        before = await found.clear(Request(PAGE))
        answering(fake, cookies=[cookie("cf_clearance", "3"), cookie("login", "y")])
        await found.page(Request(PAGE, headers={"Cookie": "login=mine"}))

        assert found.clearances.current(SiteKey(SITE, None)) is before
        assert [(c.name, c.value) for c in before.cookies] == [("cf_clearance", "3")]
        assert before.user_agent == "FakeFirefox/1.0"


@pytest.mark.parametrize(
    ("facts", "error", "told"),
    [
        ({"url": "http://evil.example/"}, SolveError, "outside of allowed_domains"),
        ({"html": "prove it"}, SolveError, "the browser's page is a homemade challenge"),
        ({"headers": {"content-type": "image/png"}}, NotHandedOver, "image/png"),
        ({"challenge": "datadome"}, SolveError, "still a datadome challenge"),
    ],
    ids=["offsite", "own challenge", "image", "challenge"],
)
async def test_page_that_the_spider_must_not_see_is_none(
    bench: Benches,
    fake: FakeService,
    facts: dict[str, Any],
    error: type[SolveError],
    told: str,
) -> None:
    def homemade(response: Response) -> object:
        return "homemade" if b"prove it" in response.body else None

    answering(fake, **facts)
    async with bench(detector=homemade, success_text="it") as found:
        with pytest.raises(error, match=told):
            await found.page(Request(PAGE))


async def test_own_detector_is_asked_until_it_is_content(bench: Benches, fake: FakeService) -> None:
    async def answer(task: Json) -> Json:
        html = "welcome" if len(fake.tasks) > 2 else "prove it"
        return {"status": "completed", "error": None, "data": page_of(task, html=html)}

    def homemade(response: Response) -> object:
        return "homemade" if b"prove it" in response.body else None

    fake.answer = answer
    async with bench(detector=homemade) as found:
        assert (await found.page(Request(PAGE))).body == b"welcome"

    assert [task["timeout"] for task in fake.tasks] == [60.0, 2.0, 4.0]


# How many at once


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (3, 3)])
async def test_browsers_open_no_more_pages_of_a_host_than_its_slot_takes(
    bench: Benches, fake: FakeService, concurrency: int, most: int
) -> None:
    answering(fake)
    fake.seconds = 0.05
    slots = {"site.example": {"concurrency": concurrency}}
    async with bench(settings={"DOWNLOAD_SLOTS": slots}) as found:
        await asyncio.gather(*(found.page(Request(f"{PAGE}/{n}")) for n in range(5)))

    assert fake.most == most
