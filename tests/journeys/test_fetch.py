"""POST /fetch, as a user has it: a real service, a real Firefox, a site behind a challenge."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.support.fetch_client import FetchClient, content, serving
from tests.support.fetch_site import ETAG, FetchSite, some_bytes
from tests.support.scripted_queue import until
from tests.support.service import Service, run_service

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

MIB = 1024 * 1024
KEYS = ("the-key-of-one", "the-key-of-two")
#: The largest answer, and what a request may move: so far apart that no buffer on the way fills the gap.
LARGEST, MOST = 10 * MIB, 20 * MIB


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    flags = ["--workers", "2", "--max-timeout", "60", "--log-level", "debug", "--max-sessions", "4"]
    flags += ["--max-fetch-bytes", str(LARGEST), "--max-task-bytes", str(MOST)]
    keys = [flag for key in KEYS for flag in ("--api-key", key)]
    with run_service(Path(tmp_path_factory.mktemp("fetch")), *flags, *keys) as running:
        yield running
        assert "Traceback" not in running.log


@asynccontextmanager
async def client(service: Service, key: str) -> AsyncIterator[FetchClient]:
    async with aiohttp.ClientSession(headers={"X-API-Key": key}) as session:
        yield FetchClient(session, service.url)


@pytest_asyncio.fixture(loop_scope="module")
async def fetch(service: Service) -> AsyncIterator[FetchClient]:
    async with client(service, KEYS[0]) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_site() -> AsyncIterator[tuple[FetchSite, str]]:
    async with serving(is_open=True) as running:
        yield running


@pytest.fixture
def open_site(shared_site: tuple[FetchSite, str]) -> tuple[FetchSite, str]:
    """A site without a challenge; who shares it spares Firefox a page that clears the way."""
    for seen in (shared_site[0].seen, shared_site[0].hung_up):
        seen.clear()
    return shared_site


async def test_challenged_site_is_solved_once_and_answers_all_that_follows(
    fetch: FetchClient,
) -> None:
    async with serving() as (site, url):
        answer = await fetch.answered(f"{url}/echo?a=1", headers={"X-Mine": "yes"})
        assert answer["status"] == 200
        assert answer["solved"] == "cloudflare"
        told = json.loads(content(answer))
        assert told["query"] == {"a": "1"}
        assert ["X-Mine", "yes"] in told["headers"]
        assert dict(map(tuple, told["headers"]))["User-Agent"] == answer["user_agent"]
        body = some_bytes(200_000)
        answer = await fetch.answered(
            f"{url}/echo", method="POST", body_base64=base64.b64encode(body).decode()
        )
        told = json.loads(content(answer))
        assert (told["method"], told["size"]) == ("POST", len(body))
        assert told["sha256"] == hashlib.sha256(body).hexdigest()
        assert answer["solved"] is None
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = await fetch.answered(f"{url}/echo", method=method)
            assert json.loads(content(answer))["method"] == method
        head = await fetch.answered(f"{url}/bytes/1000", method="HEAD")
        assert (head["status"], head["body"]) == (200, "")
        assert ["Content-Length", "1000"] in head["headers"]
        assert site.solves == 1


async def test_first_request_may_be_a_post(fetch: FetchClient) -> None:
    async with serving() as (site, url):
        answer = await fetch.answered(
            f"{url}/echo",
            method="POST",
            body='{"a": 1}',
            headers={"Content-Type": "application/json"},
        )
        told = json.loads(content(answer))
        assert (told["method"], told["size"]) == ("POST", 8)
        assert ["Content-Type", "application/json"] in told["headers"]
        assert site.solves == 1


async def test_answers_come_as_they_are(
    fetch: FetchClient, open_site: tuple[FetchSite, str]
) -> None:
    _, url = open_site
    got = await fetch.answered(f"{url}/cookies")
    assert [n for n, _ in got["headers"]].count("Set-Cookie") == 3
    assert json.loads(content(await fetch.answered(f"{url}/echo")))["cookies"]["c1"] == "v1"
    for status in (404, 500, 204, 418):
        assert (await fetch.answered(f"{url}/status/{status}"))["status"] == status
    got = await fetch.answered(f"{url}/redirect?to=http://10.1.2.3/inside")
    assert (got["status"], got["body"]) == (302, "")
    assert ["Location", "http://10.1.2.3/inside"] in got["headers"]
    got = await fetch.answered(f"{url}/etag", headers={"If-None-Match": ETAG})
    assert (got["status"], got["body"]) == (304, "")
    got = await fetch.answered(f"{url}/gzip")
    assert (content(got), got["decoded"]) == (some_bytes(50_000), "gzip")
    for size in (0, 1, 24 * 1024, 24 * 1024 + 1, LARGEST):
        got = await fetch.answered(f"{url}/bytes/{size}")
        assert content(got) == some_bytes(size)


async def test_file_that_no_page_is_clears_the_way_as_well(fetch: FetchClient) -> None:
    async with serving() as (site, url):
        got = await fetch.answered(f"{url}/bytes/5000")  # application/octet-stream
        assert content(got) == some_bytes(5000)
        assert site.solves == 1


async def test_too_large_and_too_slow_answers_end_at_once(
    fetch: FetchClient, open_site: tuple[FetchSite, str]
) -> None:
    site, url = open_site
    await fetch.answered(f"{url}/page")
    began = time.monotonic()
    assert await fetch.refused(f"{url}/bytes/{LARGEST + 1}") == (502, "answer_too_large")
    assert await fetch.refused(f"{url}/endless") == (502, "answer_too_large")
    assert time.monotonic() - began < 10
    began = time.monotonic()
    # Three seconds to reach the site in, and two more to be gone from there.
    assert await fetch.refused(f"{url}/slow?seconds=20", timeout=3) == (504, "timeout")
    assert time.monotonic() - began < 5
    await until(lambda: site.hung_up["/slow"] > 0)
    assert time.monotonic() - began < 6
    await fetch.answered(f"{url}/page")


async def test_each_request_may_move_so_much_and_no_more(fetch: FetchClient) -> None:
    async with serving() as (site, url):
        for _ in range(2):
            got = await fetch.answered(f"{url}/bytes/{LARGEST}")
            assert content(got) == some_bytes(LARGEST)
        body = base64.b64encode(bytes(LARGEST)).decode()
        refused = await fetch.refused(f"{url}/mirror", method="POST", body_base64=body)
        assert refused == (502, "too_much_traffic")
        assert site.solves == 1
        assert (await fetch.answered(f"{url}/echo"))["status"] == 200
        assert site.solves == 2


async def test_client_that_hangs_up_aborts_its_request_at_the_site(
    fetch: FetchClient, open_site: tuple[FetchSite, str]
) -> None:
    site, url = open_site
    await fetch.answered(f"{url}/page")
    asked = asyncio.create_task(fetch(f"{url}/slow?seconds=30"))
    await until(lambda: site.seen["/slow"] > 0)  # and not what another test has left there
    asked.cancel()
    began = time.monotonic()
    await until(lambda: site.hung_up["/slow"] > 0)
    assert time.monotonic() - began < 2


async def test_many_at_once_share_each_solve_and_wait_their_turn(fetch: FetchClient) -> None:
    async with serving(uses=20) as (site, url):
        got = await asyncio.gather(*(fetch(f"{url}/slow?seconds=0.05&n={n}") for n in range(64)))
        assert [status for status, _ in got] == [200] * 64, [b for s, b in got if s != 200]
        assert site.most_running <= 6
        assert 4 <= site.solves <= 8


async def test_challenge_that_is_not_passed_is_an_error_with_its_vendor(fetch: FetchClient) -> None:
    async with serving(stuck=True) as (_, url):
        # In which a busy machine opens a page, too.
        status, body = await fetch(f"{url}/page", timeout=10)
        assert (status, body["error"]["code"]) == (502, "challenge_not_passed")
        error = body["error"]
        assert "cloudflare" in error["message"]
        assert (error["challenge"], error["challenge_kind"]) == ("cloudflare", "automatic")
        assert (error["unmet"], error["hints"]) == (["no_challenge"], [])


async def test_site_that_is_not_there_is_an_error_of_its_own(fetch: FetchClient) -> None:
    assert await fetch.refused("http://127.0.0.1:9/x") in [
        (502, "blocked_address"),
        (502, "connection_refused"),
    ]
    async with serving(is_open=True) as (_, url):
        await fetch.answered(f"{url}/page")
    assert await fetch.refused(f"{url}/page") == (502, "connection_refused")
    assert await fetch.refused("http://nowhere.invalid/") == (502, "dns_error")


async def test_named_session_is_shared_with_its_tasks(fetch: FetchClient, service: Service) -> None:
    async with serving() as (site, url):
        await fetch.answered(f"{url}/cookies", session="mine")
        got = await fetch.answered(f"{url}/echo", session="mine")
        assert json.loads(content(got))["cookies"]["c2"] == "v2"
        assert site.solves == 1
        async with serving() as (_, elsewhere):
            await fetch.answered(f"{elsewhere}/echo", session="mine")
            got = await fetch.answered(f"{url}/echo", session="mine")
        async with fetch.session.get(f"{service.url}/sessions") as response:
            assert await response.json() == {"sessions": ["mine"]}
        async with fetch.session.delete(f"{service.url}/sessions/mine") as response:
            assert response.status == 200


async def test_cookies_of_the_request_are_set_before_it(fetch: FetchClient) -> None:
    async with serving(is_open=True) as (_, url):
        for value in ("one", "two"):
            got = await fetch.answered(f"{url}/echo", cookies=[{"name": "mine", "value": value}])
            assert json.loads(content(got))["cookies"] == {"mine": value}


async def test_any_bytes_go_and_come_whatever_the_status(
    fetch: FetchClient, open_site: tuple[FetchSite, str]
) -> None:
    chance = random.Random()  # noqa: S311 - another each time; a failure shows what it was
    _, url = open_site

    async def mirrored(status: int) -> None:
        edges = (0, 1, 2, 3, 24 * 1024, 360 * 1024, 720 * 1024)
        body = chance.randbytes(max(0, chance.choice(edges) + chance.randint(-2, 2)))
        method = chance.choice(("POST", "PUT", "PATCH", "DELETE", "PROPFIND", "SEARCH"))
        got = await fetch.answered(
            f"{url}/mirror?status={status}",
            method=method,
            body_base64=base64.b64encode(body).decode(),
        )
        assert (got["status"], content(got)) == (status, body), (method, len(body))

    for _ in range(4):
        odd = (200, 202, 226, 299, 400, 403, 404, 418, 451, 499, 500, 503, 520, 530, 599)
        await asyncio.gather(*(mirrored(status) for status in odd))


async def test_worker_and_policy_of_the_site_change_nothing(fetch: FetchClient) -> None:
    async with serving(is_open=True) as (site, url):
        got = await fetch.answered(f"{url}/with-worker")
        assert b"With a worker" in content(got)
        await until(lambda: site.seen["/worker.js"] > 0)
        for number in range(30):
            got = await fetch.answered(f"{url}/echo?n={number}")
            assert json.loads(content(got))["query"] == {"n": str(number)}
        got = await fetch.answered(f"{url}/with-worker")
        assert b"With a worker" in content(got)


async def test_redirect_is_never_followed_to_a_host_that_was_not_named(fetch: FetchClient) -> None:
    """Neither by the request, nor by the page that clears its way."""
    async with (
        serving(is_open=True) as (inside, inner),
        serving(is_open=True) as (site, url),
    ):
        for _ in range(2):
            got = await fetch.answered(f"{url}/redirect?to={inner}/inside")
            assert (got["status"], got["body"]) == (302, "")
            assert ["Location", f"{inner}/inside"] in got["headers"]
        assert inside.seen.total() == 0
        assert site.seen["/redirect"] == 3


async def test_first_request_gets_its_answer_whatever_a_page_makes_of_it(
    fetch: FetchClient,
) -> None:
    async with serving(is_open=True) as (_, url):
        for path, status in (
            ("status/204", 204),
            ("status/401", 401),
            ("redirect?to=http://nowhere.invalid/", 302),
        ):
            got = await fetch.answered(f"{url}/{path}", jar=f"of-{status}")
            assert (got["status"], got["solved"]) == (status, None), path


async def test_keys_share_nothing(fetch: FetchClient, service: Service) -> None:
    async with serving() as (site, url), client(service, KEYS[1]) as other:
        await fetch.answered(f"{url}/cookies", session="same")
        await other.answered(f"{url}/page", session="same")
        await fetch.answered(f"{url}/cookies")
        got = await other.answered(f"{url}/echo")
        assert set(json.loads(content(got))["cookies"]) == {"clearance"}
        got = await other.answered(f"{url}/echo", session="same")
        assert set(json.loads(content(got))["cookies"]) == {"clearance"}
        assert site.solves == 4
        for one in (fetch, other):
            async with one.session.delete(f"{service.url}/sessions/same") as response:
                assert response.status == 200


async def test_log_has_no_secrets(fetch: FetchClient, service: Service) -> None:
    secret = "CANARY"
    async with serving() as (_, url):
        for path in ("mirror", "echo"):
            got = await fetch.answered(
                f"{url}/{path}?token={secret}",
                method="POST",
                headers={"Authorization": f"Bearer {secret}", "X-Token": secret},
                cookies=[{"name": "secret", "value": secret}],
                body=f"password={secret}",
            )
            assert got["status"] == 200
        await fetch.refused(
            f"{url}/slow?seconds=20&{secret}", headers={"X-Token": secret}, timeout=0.5
        )
        await fetch.refused(f"{url}/", headers={"Cookie": secret})
    assert secret not in service.log
    assert "fetch ended" in service.log
