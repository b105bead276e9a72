import asyncio
import hashlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from html import unescape
from itertools import count

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import async_playwright

from captcha_bypass.browsers.launch.installed import find_firefox
from demo.challenge_site import STATS, SiteOptions, create_site
from tests.support.repository import ROOT

WELCOME = "Welcome, you are through"
EASY = SiteOptions(work=0.001, puzzles=8)
UA = {"User-Agent": "Mozilla/5.0 (test)"}

Serve = Callable[[SiteOptions], Awaitable[TestServer]]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def challenge_in(page: str) -> dict[str, object]:
    found = re.search(r'<script id="challenge" type="application/json">(.*?)</script>', page)
    assert found
    challenge: dict[str, object] = json.loads(found[1])
    return challenge


def solve(challenge: dict[str, object]) -> dict[str, object]:
    identity, puzzles, target = challenge["id"], challenge["puzzles"], challenge["target"]
    assert isinstance(identity, str)
    assert isinstance(puzzles, int)
    assert isinstance(target, int)

    def passes(index: int, nonce: int) -> bool:
        message = bytes.fromhex(identity) + index.to_bytes(4, "big") + nonce.to_bytes(4, "big")
        return int.from_bytes(hashlib.sha256(message).digest()[:4], "big") < target

    nonces = [next(n for n in count() if passes(index, n)) for index in range(puzzles)]
    return {"id": identity, "nonces": nonces}


class Visitor:
    """A client with a fixed User-Agent and its own cookies."""

    def __init__(self, session: aiohttp.ClientSession, server: TestServer) -> None:
        self.session = session
        self.server = server

    async def get(
        self,
        path: str,
        headers: dict[str, str] | None = None,
        cookies: dict[str, str] | None = None,
    ) -> tuple[aiohttp.ClientResponse, str]:
        url = self.server.make_url(path)
        async with self.session.get(
            url, headers=headers, cookies=cookies, allow_redirects=False
        ) as response:
            return response, await response.text()

    async def post(
        self, path: str, data: object = None, json: object = None
    ) -> tuple[aiohttp.ClientResponse, str]:
        url = self.server.make_url(path)
        async with self.session.post(url, data=data, json=json) as response:
            return response, await response.text()

    async def clear(self, path: str) -> aiohttp.ClientResponse:
        response, page = await self.get(path)
        assert_challenged(response)
        answer, _ = await self.post("/clearance", json=solve(challenge_in(page)))
        assert answer.status == 204
        return answer


def assert_challenged(response: aiohttp.ClientResponse) -> None:
    assert response.status == 403
    assert response.headers["cf-mitigated"] == "challenge"
    assert response.headers["Server"] == "challenge-site"
    assert response.content_type == "text/html"


def assert_through(response: aiohttp.ClientResponse, page: str) -> None:
    assert response.status == 200
    assert WELCOME in page
    assert "cf-mitigated" not in response.headers


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    servers: list[TestServer] = []

    async def start(options: SiteOptions) -> TestServer:
        server = TestServer(create_site(options), host="127.0.0.1")
        servers.append(server)
        await server.start_server()
        return server

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
async def visit(serve: Serve) -> AsyncIterator[Callable[..., Awaitable[Visitor]]]:
    sessions: list[aiohttp.ClientSession] = []

    async def start(options: SiteOptions = EASY) -> Visitor:
        # The jar must be told to keep cookies of a bare IP address.
        jar = aiohttp.CookieJar(unsafe=True)
        sessions.append(aiohttp.ClientSession(headers=UA, cookie_jar=jar))
        return Visitor(sessions[-1], await serve(options))

    yield start
    for session in sessions:
        await session.close()


@pytest.fixture
async def visitor(visit: Callable[..., Awaitable[Visitor]]) -> Visitor:
    return await visit()


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/page/1", "/redirect/1", "/expires/1", "/uses/1", "/never/1", "/big/1"),
        *("/slow/1?seconds=0", "/iframe/1", "/frame/1", "/json/1", "/post/1", "/cookies/1"),
    ],
)
async def test_without_a_clearance_a_guarded_page_is_a_challenge(
    visitor: Visitor, path: str
) -> None:
    response, page = await visitor.get(path)
    assert_challenged(response)
    assert "<title>Just a moment...</title>" in page
    assert WELCOME not in page
    assert "eval(" not in page
    assert not re.search(r"https?://|//\w+\.", page)


async def test_a_solved_challenge_gives_a_clearance_for_every_plain_page(visitor: Visitor) -> None:
    answer = await visitor.clear("/page/1")
    [cookie] = answer.headers.getall("Set-Cookie")
    assert re.fullmatch(r"clearance=[\w-]{20,}; HttpOnly; Path=/; SameSite=Lax", cookie, re.ASCII)
    response, page = await visitor.get("/page/1")
    assert_through(response, page)
    assert "Page 1" in page
    assert 'href="/page/2"' in page
    for path in ("/", "/page/7", "/slow/1?seconds=0", "/frame/1", "/post/1"):
        assert_through(*await visitor.get(path))


async def test_a_clearance_is_for_one_user_agent(visitor: Visitor) -> None:
    await visitor.clear("/page/1")
    response, _ = await visitor.get("/page/1", headers={"User-Agent": UA["User-Agent"] + "x"})
    assert_challenged(response)
    assert visitor.server.app[STATS].rejected == {"/page/1": 1}
    assert_through(*await visitor.get("/page/1"))


async def test_a_clearance_is_for_one_address(visitor: Visitor) -> None:
    await visitor.clear("/page/1")
    elsewhere = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
    async with aiohttp.ClientSession(
        headers=UA, connector=elsewhere, cookie_jar=visitor.session.cookie_jar
    ) as session:
        response, _ = await Visitor(session, visitor.server).get("/page/1")
    assert_challenged(response)
    assert visitor.server.app[STATS].rejected.total() == 1


async def test_a_made_up_clearance_is_rejected(visitor: Visitor) -> None:
    response, _ = await visitor.get("/page/1", cookies={"clearance": "made-up"})
    assert_challenged(response)
    assert visitor.server.app[STATS].rejected.total() == 1


@pytest.mark.parametrize("wrong", [-1, 2**32, "1", None, 1.5])
async def test_nonces_that_are_not_nonces_are_refused(visitor: Visitor, wrong: object) -> None:
    _, page = await visitor.get("/page/1")
    solution = solve(challenge_in(page))
    assert isinstance(solution["nonces"], list)
    solution["nonces"][-1] = wrong
    response, _ = await visitor.post("/clearance", json=solution)
    assert response.status == 403
    assert "Set-Cookie" not in response.headers


async def test_a_wrong_nonce_is_refused_and_uses_up_the_challenge(
    visit: Callable[..., Awaitable[Visitor]],
) -> None:
    # About one hash in 30,000 passes, so that zeros are as good as never right.
    visitor = await visit(SiteOptions(work=0.03, puzzles=2))
    _, page = await visitor.get("/page/1")
    challenge = challenge_in(page)
    assert isinstance(challenge["target"], int)
    assert challenge["target"] < 2**32 // 1000
    right = solve(challenge)
    wrong = {"id": challenge["id"], "nonces": [0, 0]}
    assert right != wrong
    for solution in (wrong, right):
        response, _ = await visitor.post("/clearance", json=solution)
        assert response.status == 403
    assert visitor.server.app[STATS].passes.total() == 0


async def test_too_few_nonces_are_refused(visitor: Visitor) -> None:
    _, page = await visitor.get("/page/1")
    solution = solve(challenge_in(page))
    assert isinstance(solution["nonces"], list)
    solution["nonces"].pop()
    response, _ = await visitor.post("/clearance", json=solution)
    assert response.status == 403


async def test_a_challenge_is_good_for_one_clearance(visitor: Visitor) -> None:
    _, page = await visitor.get("/page/1")
    solution = solve(challenge_in(page))
    first, _ = await visitor.post("/clearance", json=solution)
    second, _ = await visitor.post("/clearance", json=solution)
    assert (first.status, second.status) == (204, 403)
    assert "Set-Cookie" not in second.headers


@pytest.mark.parametrize(("seconds", "status"), [(59.9, 204), (60, 403)])
async def test_a_challenge_expires_after_60_seconds(
    visit: Callable[..., Awaitable[Visitor]], seconds: float, status: int
) -> None:
    clock = Clock()
    visitor = await visit(SiteOptions(work=0.001, clock=clock))
    _, page = await visitor.get("/page/1")
    clock.now += seconds
    response, _ = await visitor.post("/clearance", json=solve(challenge_in(page)))
    assert response.status == status


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"id": 1, "nonces": []}', b'{"id": "1"}'])
async def test_a_malformed_solution_is_a_bad_request(visitor: Visitor, body: bytes) -> None:
    response, _ = await visitor.post("/clearance", data=body)
    assert response.status == 400


async def test_an_expiring_clearance_ends_and_is_of_its_own_realm(
    visit: Callable[..., Awaitable[Visitor]],
) -> None:
    clock = Clock()
    visitor = await visit(SiteOptions(work=0.001, clock=clock))
    await visitor.clear("/page/1")
    answer = await visitor.clear("/expires/1?seconds=3")
    assert list(answer.cookies) == ["clearance_expires"]
    clock.now += 2.9
    assert_through(*await visitor.get("/expires/1?seconds=3"))
    clock.now += 0.1
    response, _ = await visitor.get("/expires/1?seconds=3")
    assert_challenged(response)
    assert visitor.server.app[STATS].rejected == {"/expires/1": 1}
    assert_through(*await visitor.get("/page/1"))
    await visitor.clear("/expires/1?seconds=3")
    assert_through(*await visitor.get("/expires/1?seconds=3"))


async def test_a_counted_clearance_is_used_up(visitor: Visitor) -> None:
    for _ in range(2):
        answer = await visitor.clear("/uses/1?uses=2")
        assert list(answer.cookies) == ["clearance_uses"]
        for _ in range(2):
            assert_through(*await visitor.get("/uses/1?uses=2"))
    response, _ = await visitor.get("/uses/1?uses=2")
    assert_challenged(response)


@pytest.mark.parametrize("path", ["/uses/1", "/expires/1"])
async def test_the_token_of_one_realm_opens_no_other(visitor: Visitor, path: str) -> None:
    answer = await visitor.clear(path)
    [token] = [cookie.value for cookie in answer.cookies.values()]
    response, _ = await visitor.get("/page/1", cookies={"clearance": token})
    assert_challenged(response)
    assert_through(*await visitor.get(path))


async def test_a_bad_number_is_a_bad_request(visitor: Visitor) -> None:
    for path in ("/expires/1?seconds=x", "/uses/1?uses=-1", "/slow/1?seconds=nan"):
        response, _ = await visitor.get(path)
        assert response.status == 400


async def test_a_cleared_redirect_leads_to_the_page(visitor: Visitor) -> None:
    await visitor.clear("/redirect/4")
    response, _ = await visitor.get("/redirect/4")
    assert (response.status, response.headers["Location"]) == (302, "/page/4")
    assert_through(*await visitor.get("/page/4"))


async def test_never_stays_a_challenge_that_reloads_itself(visitor: Visitor) -> None:
    await visitor.clear("/page/1")
    response, page = await visitor.get("/never/1")
    assert_challenged(response)
    assert "location.reload()" in page
    assert 'id="challenge"' not in page


async def test_slow_waits_before_the_challenge_and_before_the_page(visitor: Visitor) -> None:
    clock = asyncio.get_running_loop().time
    start = clock()
    await visitor.clear("/slow/1?seconds=0.2")
    middle = clock()
    assert_through(*await visitor.get("/slow/1?seconds=0.2"))
    assert middle - start >= 0.2
    assert clock() - middle >= 0.2


async def test_big_is_big_and_says_welcome_at_its_end(visitor: Visitor) -> None:
    await visitor.clear("/big/1")
    response, page = await visitor.get("/big/1?mb=2")
    assert_through(response, page)
    assert 2 * 2**20 <= len(page) < 2.1 * 2**20
    assert page.count(WELCOME) == 1
    assert page.index(WELCOME) > len(page) - 1000


async def test_iframe_says_welcome_only_in_its_frame(visitor: Visitor) -> None:
    await visitor.clear("/iframe/1")
    response, page = await visitor.get("/iframe/1")
    assert response.status == 200
    assert WELCOME not in page
    assert '<iframe src="/frame/1"' in page
    assert_through(*await visitor.get("/frame/1"))


async def test_json_is_json(visitor: Visitor) -> None:
    await visitor.clear("/json/3")
    response, text = await visitor.get("/json/3")
    assert response.content_type == "application/json"
    assert json.loads(text) == {"page": 3, "message": WELCOME}


async def test_denied_is_a_block_and_not_a_challenge(visitor: Visitor) -> None:
    response, page = await visitor.get("/denied/1")
    assert response.status == 403
    assert "cf-mitigated" not in response.headers
    assert "Access denied" in page
    assert visitor.server.app[STATS].challenges.total() == 0


async def test_a_post_is_challenged_and_then_echoed(visitor: Visitor) -> None:
    fields = {"name": 'O"Neil <b>', "submit": "é & more"}
    response, page = await visitor.post("/post/1", data=fields)
    assert_challenged(response)
    # The challenge keeps the fields, to send them anew.
    hidden = re.findall(r'<input type="hidden" name="(.*?)" value="(.*?)">', page)
    assert {unescape(name): unescape(value) for name, value in hidden} == fields
    answer, _ = await visitor.post("/clearance", json=solve(challenge_in(page)))
    assert answer.status == 204
    response, page = await visitor.post("/post/1", data=fields)
    assert_through(response, page)
    echo = re.search(r'<pre id="fields">(.*?)</pre>', page)
    assert echo
    assert dict(json.loads(unescape(echo[1]))) == fields
    response, page = await visitor.get("/post/1")
    assert_through(response, page)
    assert '<form method="post">' in page


async def test_open_pages_need_no_clearance(visitor: Visitor) -> None:
    response, page = await visitor.get("/open/5")
    assert response.status == 200
    assert "Page 5" in page
    response, _ = await visitor.get("/favicon.ico")
    assert response.status == 204
    response, text = await visitor.get("/headers", headers={"X-Test": "yes"})
    assert response.status == 200
    assert json.loads(text).items() >= {"X-Test": "yes", **UA}.items()


async def test_cookies_are_echoed(visitor: Visitor) -> None:
    answer = await visitor.clear("/cookies/1")
    _, text = await visitor.get("/cookies/1", cookies={"other": "1"})
    assert json.loads(text) == {"clearance": answer.cookies["clearance"].value, "other": "1"}


async def test_the_counters_are_served_by_page_and_reset(visitor: Visitor) -> None:
    await visitor.clear("/page/1")
    await visitor.get("/page/1")
    await visitor.get("/page/2?x=1")
    await visitor.get("/page/2", headers={"User-Agent": "other"})
    _, text = await visitor.get("/stats")
    assert json.loads(text) == {
        "challenges": {"total": 2, "by_page": {"/page/1": 1, "/page/2": 1}},
        "passes": {"total": 1, "by_page": {"/page/1": 1}},
        "pages": {"total": 2, "by_page": {"/page/1": 1, "/page/2": 1}},
        "rejected": {"total": 1, "by_page": {"/page/2": 1}},
    }
    response, _ = await visitor.post("/stats/reset")
    assert response.status == 204
    _, text = await visitor.get("/stats")
    assert [c["total"] for c in json.loads(text).values()] == [0, 0, 0, 0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("how", [["demo/challenge_site.py"], ["-m", "demo.challenge_site"]])
async def test_the_program_says_where_it_is_and_ends_cleanly(
    how: list[str], number: signal.Signals
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *how,
        "--port",
        "0",
        "--work",
        "0",
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        found = re.fullmatch(r"Challenge site on (http://127\.0\.0\.1:[1-9]\d*)\n", line)
        assert found
        async with aiohttp.ClientSession() as session, session.get(found[1] + "/page/1") as reply:
            assert_challenged(reply)
            # While the client's connection is still open.
            os.kill(process.pid, number)
            out, err = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, out, err) == (0, b"", b"")


@pytest.mark.browser
async def test_firefox_gets_through_and_its_clearance_can_be_replayed(serve: Serve) -> None:
    server = await serve(SiteOptions(work=0.05))
    async with async_playwright() as playwright:
        browser = await playwright.firefox.launch(
            channel="moz-firefox", executable_path=find_firefox(None).executable, headless=True
        )
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(str(server.make_url("/page/1")))
        await page.get_by_text(WELCOME).wait_for()
        assert await page.title() == "Page 1"
        cookies = {c["name"]: c["value"] for c in await context.cookies()}
        agent: str = await page.evaluate("navigator.userAgent")
        # A POST goes through its own challenge with its fields.
        await context.clear_cookies()
        await page.goto(str(server.make_url("/open/1")))
        await page.evaluate(
            """() => {
                const form = document.createElement("form");
                form.method = "post";
                form.action = "/post/1";
                form.innerHTML = '<input name="submit" value="kept">';
                document.body.append(form);
                HTMLFormElement.prototype.submit.call(form);
            }"""
        )
        await page.get_by_text(WELCOME).wait_for()
        assert await page.locator("#fields").inner_text() == '[["submit", "kept"]]'
        # And the one in a frame is found there.
        await page.goto(str(server.make_url("/iframe/1")))
        await page.frame_locator("iframe").get_by_text(WELCOME).wait_for()
        await browser.close()
    stats = server.app[STATS]
    assert stats.challenges == {"/page/1": 1, "/post/1": 1}
    assert stats.passes == {"/page/1": 1, "/post/1": 1}
    async with aiohttp.ClientSession(headers={"User-Agent": agent}, cookies=cookies) as session:
        assert_through(*await Visitor(session, server).get("/page/2"))
