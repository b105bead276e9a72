"""How far a crawl goes: where its browser's pages may end, and how many solves it may cost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import scrapy
from aiohttp import web
from scrapy import Request
from scrapy.exceptions import IgnoreRequest

import captcha_bypass_scrapy.scope as scope_module
from captcha_bypass_scrapy import request_state
from captcha_bypass_scrapy.errors import SolveError
from captcha_bypass_scrapy.scope import Scope
from tests.captcha_bypass_scrapy.engines import Idle, opened
from tests.captcha_bypass_scrapy.fake_site import serving

HOST = "http://a.site.example"


class Bound(scrapy.Spider):
    """Is as `scrapy genspider` writes it."""

    name = "bound"
    allowed_domains = ["site.example", "127.0.0.1"]  # noqa: RUF012 - Scrapy's own way


@asynccontextmanager
async def scope_of_a_crawl(
    spider: type[scrapy.Spider] = Bound, **settings: object
) -> AsyncIterator[Scope]:
    async with opened(spider, **settings) as crawler:
        yield Scope(crawler)


# Out of allowed_domains


@pytest.mark.parametrize(
    ("url", "offsite"),
    [
        ("http://site.example/", False),
        ("https://deep.a.site.example/x", False),
        ("http://site.example.evil/", True),
        ("http://evil.example/?site.example", True),
        ("http://notsite.example/", True),
    ],
)
async def test_browsers_page_is_offsite_where_a_link_would_be(url: str, *, offsite: bool) -> None:
    async with scope_of_a_crawl() as found:
        assert found.is_offsite(url) is offsite


async def test_spider_without_allowed_domains_has_no_offsite() -> None:
    async with scope_of_a_crawl(Idle) as found:
        assert not found.is_offsite("http://anywhere.example/")


async def test_project_without_the_offsite_filter_has_no_offsite() -> None:
    filters = {"scrapy.downloadermiddlewares.offsite.OffsiteMiddleware": None}
    async with scope_of_a_crawl(DOWNLOADER_MIDDLEWARES=filters) as found:
        assert not found.is_offsite("http://evil.example/")


async def test_shell_that_has_no_spider_yet_has_no_offsite() -> None:
    async with opened(Bound) as crawler:
        found = Scope(crawler)
        spider, crawler.spider = crawler.spider, None

        assert not found.is_offsite("http://evil.example/")
        crawler.spider = spider
        assert found.is_offsite("http://evil.example/")


async def test_page_that_was_asked_for_is_never_checked() -> None:
    """It was let through already, whatever the filter says of it now."""
    async with scope_of_a_crawl() as found:
        await found.ensure_allowed("http://evil.example/", Request("http://evil.example/"))


async def test_page_on_another_site_is_refused_with_its_address() -> None:
    async with scope_of_a_crawl() as found:
        with pytest.raises(SolveError, match=r"http://evil\.example/x, which is outside") as raised:
            await found.ensure_allowed("http://evil.example/x", Request(HOST))

    assert raised.value.kind == "offsite"


async def test_page_elsewhere_on_the_site_is_none_to_refuse() -> None:
    async with scope_of_a_crawl() as found:
        await found.ensure_allowed("http://b.site.example/moved", Request(HOST))


@pytest.mark.parametrize("way", ["dont_filter", "allow_offsite"])
async def test_request_that_may_be_redirected_anywhere_may_end_anywhere(way: str) -> None:
    request = Request(HOST, dont_filter=way == "dont_filter", meta={way: True})
    async with scope_of_a_crawl() as found:
        await found.ensure_allowed("http://evil.example/", request)


async def test_leave_that_we_gave_a_redirect_is_none_for_the_browser() -> None:
    request = Request(HOST)
    request_state.allow_offsite(request)
    async with scope_of_a_crawl() as found:
        with pytest.raises(SolveError):
            await found.ensure_allowed("http://evil.example/", request)


# Forbidden by robots.txt


@asynccontextmanager
async def site(text: str) -> AsyncIterator[tuple[str, list[str]]]:
    """A site with this robots.txt; yields its address and the paths that were asked for."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(text=text)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with serving(app, "127.0.0.1") as url:
        yield url, asked


FORBIDS = "User-agent: *\nDisallow: /secret\n"


async def test_page_that_robots_txt_forbids_is_refused_as_a_link_there() -> None:
    async with site(FORBIDS) as (url, asked), scope_of_a_crawl(ROBOTSTXT_OBEY=True) as found:
        await found.ensure_allowed(f"{url}/open", Request(f"{url}/a"))
        with pytest.raises(SolveError, match=f"the browser ended at {url}/secret: ") as raised:
            await found.ensure_allowed(f"{url}/secret", Request(f"{url}/a"))

    assert raised.value.kind == "offsite"
    assert asked == ["/robots.txt"]


async def test_rules_for_the_requests_own_user_agent_count() -> None:
    text = "User-agent: shop\nDisallow: /secret\n"
    async with site(text) as (url, _), scope_of_a_crawl(ROBOTSTXT_OBEY=True) as found:
        await found.ensure_allowed(f"{url}/secret", Request(f"{url}/a"))
        with pytest.raises(SolveError):
            await found.ensure_allowed(
                f"{url}/secret", Request(f"{url}/a", headers={"User-Agent": "shop"})
            )


@pytest.mark.parametrize("obey", [False, True])
async def test_robots_txt_is_asked_for_by_those_alone_who_obey_it(*, obey: bool) -> None:
    async with site(FORBIDS) as (url, asked), scope_of_a_crawl(ROBOTSTXT_OBEY=obey) as found:
        request = Request(f"{url}/a", meta={"dont_obey_robotstxt": True} if obey else {})
        await found.ensure_allowed(f"{url}/secret", request)

    assert asked == []


async def test_requests_that_waited_for_a_solved_robots_txt_are_checked() -> None:
    async with site(FORBIDS) as (url, _), scope_of_a_crawl(ROBOTSTXT_OBEY=True) as found:
        await found.ask_robots_again(Request(f"{url}/secret"))  # Scrapy itself has done so
        found.robots_arrived(Request(f"{url}/robots.txt"))

        await found.ask_robots_again(Request(f"{url}/open"))
        await found.ask_robots_again(Request("http://127.0.0.2:9/secret"))  # another host
        with pytest.raises(IgnoreRequest):
            await found.ask_robots_again(Request(f"{url}/secret"))


async def test_requests_that_come_later_are_not_checked_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scope_module, "ASK_AGAIN_SECONDS", -1.0)
    async with site(FORBIDS) as (url, asked), scope_of_a_crawl(ROBOTSTXT_OBEY=True) as found:
        found.robots_arrived(Request(f"{url}/robots.txt"))
        await found.ask_robots_again(Request(f"{url}/secret"))

    assert asked == []


async def test_other_pages_that_come_after_a_solve_are_no_robots_txt() -> None:
    async with site(FORBIDS) as (url, asked), scope_of_a_crawl(ROBOTSTXT_OBEY=True) as found:
        found.robots_arrived(Request(f"{url}/robots.txt/a"))
        await found.ask_robots_again(Request(f"{url}/secret"))

    assert asked == []
