"""When a page counts as through, and what is returned of it: in the real browser."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from demo.challenge_site import STATS, SiteOptions, create_site
from tests.support.fake_juggler import SILENT
from tests.support.fake_service import PAGE, run_fake_service
from tests.support.hard_site import SEEN
from tests.support.solve_client import Client, Json, client_of, page_came

pytestmark = pytest.mark.browser

WELCOME = "Welcome, you are through"


async def seen(client: Client, hard: TestServer, page: str, **condition: object) -> bool:
    """Whether the condition is met on that hard page."""
    url = str(hard.make_url(page))
    data = await client.solved(url=url, timeout=30, **condition)
    return not data["timeout_reached"]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("/late", "late words"),
        ("/shadow", "shadow words"),
        ("/frame", "framed words"),
        ("/split", "first second half"),
        ("/split", "  first\n second\u200b half "),
        ("/push", "pushed words"),
        ("/meta", "plain page"),
        ("/echo", "user-agent"),
    ],
)
async def test_visible_text_is_found(
    client: Client, hard: TestServer, page: str, text: str
) -> None:
    if page == "/echo":
        text = "User-Agent"
    assert await seen(client, hard, page, success_text=text)


async def test_text_that_nobody_sees_does_not_count(client: Client, hard: TestServer) -> None:
    hidden = [
        ("/hidden", "hidden words"),
        ("/hidden", "script words"),
        ("/hidden", "undisplayed words"),
        ("/case", "case matters"),
    ]
    tasks = (
        client.unfinished(2.5, url=str(hard.make_url(page)), success_text=text)
        for page, text in hidden
    )
    for (_, text), view in zip(hidden, await asyncio.gather(*tasks), strict=True):
        data = view["data"]
        assert data["timeout_reached"] is True, text
        assert text in data["html"].lower()


async def test_selector_must_be_visible(client: Client, hard: TestServer) -> None:
    found, hidden = await asyncio.gather(
        seen(client, hard, "/selector", success_selector="div.yes.it-is"),
        client.unfinished(2.5, url=str(hard.make_url("/selector")), success_selector="#no"),
    )
    assert found
    assert hidden["data"]["timeout_reached"] is True


async def test_selector_that_is_none_is_an_error(client: Client, hard: TestServer) -> None:
    view = await client.solve(
        url=str(hard.make_url("/selector")), success_selector="div[[", timeout=20
    )
    assert view["error"]["code"] == "invalid_request"
    assert "success_selector" in view["error"]["message"]


async def test_all_conditions_must_hold(client: Client, hard: TestServer) -> None:
    both, one = await asyncio.gather(
        seen(client, hard, "/selector", success_text="y", success_selector=".yes"),
        client.unfinished(
            2.5,
            url=str(hard.make_url("/selector")),
            success_text="absent",
            success_selector=".yes",
        ),
    )
    assert both
    assert one["data"]["timeout_reached"] is True


async def test_challenged_page_gives_cookies_that_plain_http_can_use(
    client: Client, site: TestServer
) -> None:
    url = str(site.make_url("/page/7"))
    data = await client.solved(url=url, success_text=WELCOME, timeout=30)
    assert (data["status_code"], data["timeout_reached"], data["challenge"]) == (200, False, None)
    assert data["solved"] == "cloudflare"
    assert data["url"] == url
    assert "Page 7" in data["html"]
    assert data["headers"]["content-type"].startswith("text/html")
    assert "cf-mitigated" not in data["headers"]
    assert data["request_headers"]["user-agent"] == data["user_agent"]
    cookies = {cookie["name"]: cookie["value"] for cookie in data["cookies"]}
    async with aiohttp.ClientSession(cookies=cookies) as session:
        agent = {"User-Agent": data["user_agent"]}
        async with session.get(url, headers=agent) as response:
            assert response.status == 200
            assert WELCOME in await response.text()
        async with session.get(url) as response:
            assert response.status == 403


async def test_no_challenge_is_met_once_the_challenge_is_gone(
    client: Client, site: TestServer
) -> None:
    url = str(site.make_url("/redirect/3"))
    data = await client.solved(url=url, no_challenge=True, timeout=30)
    assert data["timeout_reached"] is False
    assert data["status_code"] == 200
    assert data["url"].endswith("/page/3")
    assert WELCOME in data["html"]


async def test_challenge_that_never_passes_is_a_timeout_that_names_the_vendor(
    client: Client, site: TestServer
) -> None:
    url = str(site.make_url("/never/1"))
    data = (await client.unfinished(4, url=url, no_challenge=True))["data"]
    assert data["timeout_reached"] is True
    assert data["status_code"] == 403
    assert data["challenge"] == "cloudflare"
    assert "Just a moment" in data["html"]


async def test_challenge_that_was_passed_is_told_where_the_text_never_comes(
    client: Client,
) -> None:
    # Without work it is gone before the first look, now and then.
    async with TestServer(create_site(SiteOptions(work=0.0))) as site:
        url = str(site.make_url("/page/2"))
        tasks = (client.unfinished(3, is_open, url=url, success_text="never") for _ in range(4))
        for view in await asyncio.gather(*tasks):
            data = view["data"]
            assert (data["timeout_reached"], data["challenge"]) == (True, None)
            assert data["solved"] == "cloudflare"


def is_open(view: Json) -> bool:
    """Whether a task had the time to pass the challenge."""
    return page_came(view) and view["data"]["status_code"] == 200


async def test_two_megabytes_come_whole(client: Client, site: TestServer) -> None:
    url = str(site.make_url("/big/1?mb=2"))
    data = await client.solved(url=url, success_text=WELCOME, timeout=30)
    assert len(data["html"]) >= 2 * 1024 * 1024
    assert data["html"].rstrip().endswith("</html>")


async def test_text_in_a_frame_behind_the_challenge_is_found(
    client: Client, site: TestServer
) -> None:
    url = str(site.make_url("/iframe/1"))
    data = await client.solved(url=url, success_text=WELCOME, timeout=30)
    assert data["timeout_reached"] is False


async def test_cookies_of_a_result_save_the_challenge(client: Client, site: TestServer) -> None:
    url = str(site.make_url("/page/1"))
    first = await client.solved(url=url, success_text=WELCOME, timeout=30)
    async with aiohttp.ClientSession() as session:
        await session.post(site.make_url("/stats/reset"))
        again = await client.solved(
            url=url, success_text=WELCOME, timeout=30, cookies=first["cookies"]
        )
        async with session.get(site.make_url("/stats")) as response:
            stats = await response.json()
    assert again["status_code"] == 200
    assert stats["challenges"]["total"] == 0


async def test_tasks_share_no_cookies(client: Client, site: TestServer) -> None:
    url = str(site.make_url("/page/1"))
    for _ in range(2):
        await client.solved(url=url, success_text=WELCOME, timeout=30)
    assert site.app[STATS].passes.total() == 2


@pytest.mark.parametrize("block", [[], ["image"]])
async def test_headers_are_sent_with_the_first_request_only(
    client: Client, hard: TestServer, block: list[str]
) -> None:
    url = str(hard.make_url("/hop"))
    await client.solved(
        url=url,
        success_text="User-Agent",
        timeout=20,
        headers={"X-Own": "1", "Referer": url},
        block=block,
    )
    sent = {path: headers for path, headers in hard.app[SEEN]}  # noqa: C416 - typed
    assert sent["/hop"]["X-Own"] == "1"
    assert sent["/hop"]["Referer"] == url
    assert "X-Own" not in sent["/echo"]
    assert "User-Agent" in sent["/hop"]


async def test_blocked_types_are_not_loaded(client: Client, hard: TestServer) -> None:
    url = str(hard.make_url("/images"))
    await client.solved(url=url, success_text="images", timeout=20, block=["image", "stylesheet"])
    assert not [path for path, _ in hard.app[SEEN] if path.startswith("/seen")]
    await client.solved(url=url, success_text="images", timeout=20)
    assert {path for path, _ in hard.app[SEEN]} >= {"/seen.png", "/seen.css"}


async def test_screenshot_is_a_png(client: Client, hard: TestServer) -> None:
    url = str(hard.make_url("/plain"))
    data = await client.solved(url=url, success_text="plain", timeout=20, screenshot=True)
    assert base64.b64decode(data["screenshot"]).startswith(b"\x89PNG")


async def test_status_and_headers_are_the_sites_own(client: Client, hard: TestServer) -> None:
    url = str(hard.make_url("/status/503"))
    data = await client.solved(url=url, success_text="status 503", timeout=20)
    assert (data["status_code"], data["headers"]["x-own"]) == (503, "own")


async def test_pushed_url_is_the_final_url(client: Client, hard: TestServer) -> None:
    url = str(hard.make_url("/push"))
    data = await client.solved(url=url, success_text="pushed words", timeout=20)
    assert data["url"].endswith("/pushed")
    assert data["status_code"] == 200


async def test_timeout_shorter_than_it_takes_to_get_a_page_is_no_result(
    tmp_path: Path,
) -> None:
    (tmp_path / SILENT).write_text("Browser.enable")  # it never starts
    with run_fake_service(tmp_path, ready=False) as service:
        async with client_of(service) as client:
            view = await client.solve(**PAGE | {"timeout": 0.05})
    assert (view["error"]["code"], view["data"]) == ("browser_unavailable", None)
