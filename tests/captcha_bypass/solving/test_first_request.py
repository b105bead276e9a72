"""A task's own headers and form reach the host it names, as they are, and no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.service import Service
from tests.support.solve_client import Client, Json

pytestmark = pytest.mark.browser

OWN = {
    "Authorization": "Bearer canary",
    "Referer": "http://from.example/canary",
    "X-Canary": "1",
    "Origin": "http://canary.example",
}
FORM = "a=1&word=canary"


HERE = "http://first.example"
THERE = "http://other.example"


@dataclass
class Asked:
    method: str
    host: str
    path: str
    headers: dict[str, str]
    body: str


@dataclass
class Internet:
    """An http proxy behind which are two hosts: the first redirects, or is behind a challenge."""

    seen: list[Asked] = field(default_factory=list)
    proxy: str = ""
    away: str = THERE + "/land"

    def at(self, url: str) -> list[Asked]:
        """What a host was asked for."""
        return [asked for asked in self.seen if f"http://{asked.host}" == url]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/favicon.ico":
            return web.Response(status=404)
        body = await request.text()
        headers = dict(request.headers)
        self.seen.append(Asked(request.method, request.host, request.path, headers, body))
        kind, _, code = request.path.strip("/").partition("/")
        if request.host == "other.example":
            # Words that come once the picture was asked for: then the task is over, and its page closed.
            words = 'document.body.append("landed there")'
            return _page(f"<body><img src='{HERE}/seen.png' onerror='{words}'>")
        if kind == "away":
            return _redirect(code, self.away)
        if kind == "on":
            return _redirect(code, "/land")
        if kind in _CHALLENGES and "cleared" not in request.cookies:
            return _challenge(_CHALLENGES[kind])
        if request.method == "POST" and code == "then":
            return _redirect("303", "/land")
        return _page("<p>landed here</p>")


_CLEARED = "document.cookie = 'cleared=1; path=/';"
_KEEPS = f"""<form method=post><input name=a value=1><input name=word value=canary></form><script>
{_CLEARED} setTimeout(() => document.forms[0].submit(), 300)</script>"""
_RELOADS = f"<script>{_CLEARED} setTimeout(() => location = location.href, 300)</script>"


_CHALLENGES = {"keeps": _KEEPS, "reloads": _RELOADS}


def _page(text: str) -> web.Response:
    return web.Response(text=f"<!doctype html>{text}", content_type="text/html")


def _redirect(code: str, where: str) -> web.Response:
    return web.Response(status=int(code), headers={"Location": where})


def _challenge(script: str) -> web.Response:
    text = f"<!doctype html><title>Just a moment...</title>{script}"
    headers = {"cf-mitigated": "challenge"}
    return web.Response(status=403, headers=headers, text=text, content_type="text/html")


@pytest.fixture
async def internet() -> AsyncIterator[Internet]:
    found = Internet()
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", found.serve)
    async with TestServer(app) as server:
        found.proxy = f"http://127.0.0.1:{server.port}"
        yield found


async def solve(client: Client, internet: Internet, url: str, **request: object) -> Json:
    """Open a page with own headers, through the proxy."""
    proxy = {"server": internet.proxy}
    return await client.solve(url=url, timeout=20, headers=OWN, proxy=proxy, **request)


async def post(client: Client, internet: Internet, url: str) -> str:
    """Let `/v1` post the form, through the proxy; what it tells."""
    command = {"cmd": "request.post", "url": url, "postData": FORM, "maxTimeout": 20_000}
    command["proxy"] = {"url": internet.proxy}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{client.url}/v1", json=command) as answer,
    ):
        told = await answer.json()
        assert told["status"] == "ok", told
        return str(told["message"])


@pytest.mark.parametrize(("code", "block"), [(302, ["media"]), (307, [])])
async def test_own_headers_stay_behind_where_the_page_redirects_to_another_host(
    client: Client, internet: Internet, code: int, block: list[str]
) -> None:
    url = f"{HERE}/away/{code}"
    view = await solve(client, internet, url, success_text="landed there", block=block)
    assert view["data"]["url"] == f"{THERE}/land"
    assert internet.at(HERE)[0].headers.items() >= OWN.items()
    assert [asked.path for asked in internet.at(THERE)] == ["/land"]
    assert "canary" not in str(internet.at(THERE))


async def test_own_headers_do_not_go_to_what_the_page_loads(
    client: Client, internet: Internet
) -> None:
    await solve(client, internet, f"{THERE}/", success_text="landed there")
    assert internet.at(THERE)[0].headers.items() >= OWN.items()
    assert internet.at(HERE)
    assert "canary" not in str(internet.at(HERE))


@pytest.mark.parametrize("code", [302, 307])
async def test_form_stays_behind_where_the_page_redirects_to_another_host(
    client: Client, internet: Internet, code: int
) -> None:
    await post(client, internet, f"{HERE}/away/{code}")
    first = internet.at(HERE)[0]
    assert (first.method, first.body) == ("POST", FORM)
    assert [(asked.method, asked.body) for asked in internet.at(THERE)] == [("GET", "")]


async def test_form_goes_on_within_its_site(client: Client, internet: Internet) -> None:
    await post(client, internet, f"{HERE}/on/307")
    assert [(asked.method, asked.body) for asked in internet.seen] == [("POST", FORM)] * 2


async def test_form_comes_as_from_a_page_of_the_site_itself(
    client: Client, internet: Internet
) -> None:
    await post(client, internet, f"{HERE}/form")
    headers = internet.seen[0].headers
    assert (headers["Origin"], headers["Sec-Fetch-Site"]) == (HERE, "same-origin")


@pytest.mark.parametrize("answer", ["page", "then"])
async def test_form_that_a_challenge_posts_again_is_not_posted_a_third_time(
    client: Client, internet: Internet, answer: str
) -> None:
    assert await post(client, internet, f"{HERE}/keeps/{answer}") == "Challenge solved!"
    taken = [asked.body for asked in internet.seen if asked.headers.get("Cookie") and asked.body]
    assert taken == [FORM]


async def test_form_that_a_challenge_forgets_is_posted_again(
    client: Client, internet: Internet
) -> None:
    assert await post(client, internet, f"{HERE}/reloads/page") == "Challenge solved!"
    assert [asked.method for asked in internet.seen] == ["POST", "GET", "POST"]
    assert internet.seen[-1].body == FORM


async def test_redirect_to_a_private_host_is_told_as_such(
    client: Client, internet: Internet, service: Service
) -> None:
    internet.away = "http://127.0.0.1:1/"
    view = await solve(client, internet, f"{HERE}/away/302", success_text="never")
    assert view["error"]["code"] == "blocked_address", view
    assert "canary" not in service.log
