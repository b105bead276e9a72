"""The way of one task through the service, against a server that answers as each test says."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

import captcha_bypass_scrapy.answers as answers_module
import captcha_bypass_scrapy.client as client_module
from captcha_bypass_scrapy.client import SolverClient
from captcha_bypass_scrapy.errors import CrawlEnding, SolveError, SolverUnavailable
from captcha_bypass_scrapy.progress import DOWN_PAUSE
from tests.captcha_bypass_scrapy.fake_service import FakeService, page_of
from tests.captcha_bypass_scrapy.fake_site import serving
from tests.support.service import eventually

TASK: dict[str, Any] = {"url": "http://site.example/", "timeout": 20.0, "no_challenge": True}
DATA = page_of(TASK)
DONE = {"status": "completed", "error": None, "data": DATA}
RUNNING = {"status": "running", "error": None, "data": None}
PENDING = {"status": "pending", "error": None, "data": None}
GONE = {"status": "not_found", "error": None, "data": None}
FULL = {"error": {"code": "queue_full", "message": "1000 tasks are pending."}}
#: What other programs at the service's address might say.
GARBAGE = (
    *("", "not json", "<html>It works!</html>", "null", "5", '"text"', "[]", "[{}]", "{}"),
    *('{"status": 5}', '{"status": null}', '{"status": ["running"]}', '{"status": {}}'),
    *('{"status": "error"}', '{"status": "error", "error": "no"}', '{"status": "up"}'),
    *('{"status": "error", "error": {}}', '{"status": "error", "error": {"code": "x"}}'),
    *('{"status": "error", "error": {"code": 5, "message": []}}', '{"error": 5}'),
    *('{"error": {"fields": "all"}}', '{"error": {"fields": [1, null, "a"]}}'),
    *('{"error": {"fields": {"a": 1}}}', '{"error": {"message": null}}', "[" * 100_000),
    *('{"status": "completed"}', '{"status": "completed", "data": [1]}', "1" * 10_000),
    *('{"status": "completed", "data": {"html": "x"}}', "\x00\x01", "NaN", '{"status": NaN}'),
)
#: Those of them that could be what it says of a task.
OF_A_TASK = (
    *('{"status": "up"}', '{"status": "error"}'),
    '{"status": "error", "error": {"code": 5, "message": []}}',
)


@dataclass
class Answer:
    """One answer of the service."""

    body: object
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    packed: bool = False


@dataclass
class Asked:
    """One question to it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Played:
    """A service that plays answers in order, and the last of them for ever.

    Attributes:
        posts: To POST /solve.
        views: To GET /result.
        asked: Everything that came.
    """

    def __init__(self) -> None:
        self.url = ""
        self.posts = [Answer({"task_id": "t1"}, 202)]
        self.views = [Answer(DONE)]
        self.deletes = [Answer({"success": True})]
        self.asked: list[Asked] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/solve", self._playing("posts"))
        app.router.add_get("/result/{id}", self._playing("views"))
        app.router.add_delete("/task/{id}", self._playing("deletes"))
        app.router.add_route("*", "/{path:.*}", self._playing("deletes"))
        return app

    def paths(self, method: str) -> list[str]:
        return [asked.path for asked in self.asked if asked.method == method]

    def _playing(self, name: str) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            body = await request.read()
            self.asked.append(Asked(request.method, request.path_qs, dict(request.headers), body))
            answers: list[Answer] = getattr(self, name)
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            await asyncio.sleep(answer.seconds)
            text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
            response = web.Response(text=text, status=answer.status, headers=answer.headers)
            if answer.packed:
                response.enable_compression(web.ContentCoding.gzip)
            return response

        return handler


@pytest.fixture
async def played() -> AsyncIterator[Played]:
    service = Played()
    async with serving(service.app(), "127.0.0.1") as service.url:
        yield service


@asynccontextmanager
async def client_of(
    url: str,
    key: str | None = None,
    *,
    long_poll: float = 0.05,  # so that tests are quick
    slow: float = 60,
    patience: float = 60,
    closing: Callable[[], bool] = lambda: False,
) -> AsyncIterator[SolverClient]:
    client = SolverClient(
        url, key, long_poll=long_poll, slow=slow, patience=patience, closing=closing
    )
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
async def client(played: Played) -> AsyncIterator[SolverClient]:
    async with client_of(played.url) as client:
        yield client


def ignore(state: str) -> None:
    """What a task waits for is nobody's business here."""


async def failure(client: SolverClient, task: dict[str, Any] = TASK) -> SolveError:
    """Solve in vain; returns why."""
    with pytest.raises(SolveError) as raised:
        await client.solve(task, ignore)
    return raised.value


# A task that goes well


async def test_task_is_sent_as_it_is_and_its_data_comes_back(
    played: Played, client: SolverClient
) -> None:
    found = await client.solve({**TASK, "proxy": {"server": "http://p:1"}}, ignore)

    assert found == DATA
    submitted, asked = played.asked
    assert json.loads(submitted.body) == {**TASK, "proxy": {"server": "http://p:1"}}
    assert submitted.headers["Content-Type"].startswith("application/json")
    assert (asked.method, asked.path) == ("GET", "/result/t1?wait=0.05")


async def test_result_is_asked_for_until_it_is_there(played: Played, client: SolverClient) -> None:
    played.views = [Answer(PENDING), Answer(RUNNING), Answer(RUNNING), Answer(DONE)]

    assert await client.solve(TASK, ignore) == DATA
    assert len(played.paths("GET")) == 4
    assert played.paths("DELETE") == []


async def test_page_of_the_last_moment_is_handed_over_as_it_is(
    played: Played, client: SolverClient
) -> None:
    """Whether it will do is judged elsewhere."""
    late = {**DATA, "timeout_reached": True, "challenge": "cloudflare"}
    played.views = [Answer({**DONE, "data": late})]

    assert await client.solve(TASK, ignore) == late


@pytest.mark.parametrize("packed", [False, True])
async def test_large_answers_are_read_whole(
    played: Played, client: SolverClient, *, packed: bool
) -> None:
    html = "<p>gr\u00fc\u00df \U0001f600</p>" * 200_000
    played.views = [Answer({**DONE, "data": {**DATA, "html": html}}, packed=packed)]

    assert (await client.solve(TASK, ignore))["html"] == html


async def test_service_behind_a_path_is_asked_there(played: Played) -> None:
    played.deletes = [Answer({"task_id": "t1"}, 202)]
    async with client_of(f"{played.url}/solver") as client:
        task = asyncio.create_task(client.solve(TASK, ignore))
        assert await eventually(lambda: len(played.asked) >= 2, 60)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert played.asked[0].path == "/solver/solve"
    assert played.asked[1].path.startswith("/solver/result/t1?")


async def test_address_leads_to_a_file_and_what_the_browser_has_is_kept(
    played: Played, client: SolverClient
) -> None:
    error = {"code": "not_a_page", "message": "a download"}
    played.views = [Answer({"status": "error", "error": error, "data": DATA})]

    found = await client.solve(TASK, ignore)

    assert found == {**DATA, "file": True}


# Who gets to see what


async def test_key_goes_with_every_question(played: Played) -> None:
    played.views = [Answer(RUNNING), Answer(DONE)]
    async with client_of(played.url, "the-key") as client:
        await client.solve(TASK, ignore)

    assert {a.headers.get("Authorization") for a in played.asked} == {"Bearer the-key"}
    assert len(played.asked) == 3


async def test_without_a_key_there_is_no_header_for_it(
    played: Played, client: SolverClient
) -> None:
    await client.solve(TASK, ignore)

    assert all("Authorization" not in asked.headers for asked in played.asked)


async def test_key_does_not_follow_a_redirect(played: Played) -> None:
    elsewhere = Played()
    async with serving(elsewhere.app(), "127.0.0.2") as elsewhere.url:
        played.posts = [Answer("", 307, {"Location": f"{elsewhere.url}/solve"})]
        async with client_of(played.url, "the-key") as client:
            error = await failure(client)

    assert elsewhere.asked == []
    assert "was answered 307" in str(error)
    assert "is CAPTCHA_BYPASS_URL right?" in str(error)


async def test_cookies_that_the_service_or_its_gateway_sets_are_not_kept(
    played: Played, client: SolverClient
) -> None:
    played.posts = [Answer({"task_id": "t1"}, 202, {"Set-Cookie": "who=me; Path=/"})]

    await client.solve(TASK, ignore)
    await client.solve(TASK, ignore)

    assert all("Cookie" not in asked.headers for asked in played.asked)


async def test_proxies_of_the_environment_are_not_for_the_service(
    played: Played, client: SolverClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert await client.solve(TASK, ignore) == DATA


# A service that does not take the task


@pytest.mark.parametrize(
    ("answer", "state", "told"),
    [
        (
            Answer({"error": {"code": "unauthorized"}}, 401),
            "refusing",
            "set CAPTCHA_BYPASS_API_KEY",
        ),
        (Answer({"error": {"message": "Use http://a."}}, 403), "refusing", "403, Use http://a."),
        (Answer({"error": {"message": "No such page."}}, 404), "refusing", "URL right?"),
        (Answer("<h1>Not here</h1>", 404), "refusing", "404, not in the service's own words"),
        (Answer("{}", 400), "refusing", "400, not in the service's own words"),
        (Answer("", 413), "refusing", "413, not in the service's own words"),
        (Answer({"ok": True}, 200), "refusing", "200, not in the service's own words"),
        (Answer({"ok": True}, 202), "refusing", "202, not in the service's own words"),
        (Answer("<h1>Bad Gateway</h1>", 502), "away", "502, not in the service's own words"),
        (Answer({"error": {"message": "Sorry."}}, 500), "away", "500, Sorry."),
    ],
)
async def test_refusal_tells_whether_waiting_helps_or_a_person_must_act(
    played: Played, client: SolverClient, answer: Answer, state: str, told: str
) -> None:
    played.posts = [answer]

    error = await failure(client)

    assert isinstance(error, SolverUnavailable)
    assert error.state == state
    assert error.pause == (DOWN_PAUSE if state == "away" else answers_module.REFUSED_PAUSE)
    assert told in str(error)
    assert len(played.asked) == 1


@pytest.mark.parametrize("status", [400, 413])
async def test_task_that_the_service_does_not_take_is_this_tasks_fault_alone(
    played: Played, client: SolverClient, status: int
) -> None:
    played.posts = [Answer({"error": {"message": "The request is invalid."}}, status)]

    error = await failure(client)

    assert not isinstance(error, SolverUnavailable)
    assert (error.kind, str(error)) == (
        "rejected",
        "the service refuses the task: The request is invalid.",
    )


async def test_refused_fields_are_named_with_what_is_wrong(
    played: Played, client: SolverClient
) -> None:
    fields = [{"field": "proxy.server", "message": "no"}, {"field": "timeout", "message": "600"}]
    played.posts = [Answer({"error": {"message": "Invalid.", "fields": fields}}, 400)]

    assert str(await failure(client)).endswith("task: proxy.server: no; timeout: 600")


async def test_wrong_key_is_not_repeated_in_the_error(played: Played) -> None:
    played.posts = [Answer({"error": {"message": "The key is wrong."}}, 401)]
    async with client_of(played.url, "s3cret-key") as client:
        error = await failure(client)

    assert "s3cret-key" not in repr(error)


async def test_service_that_is_not_there_is_asked_about(unused_tcp_port: int) -> None:
    async with client_of(f"http://me:s3cret@127.0.0.1:{unused_tcp_port}") as client:
        error = await failure(client)

    assert isinstance(error, SolverUnavailable)
    assert (error.state, error.pause) == ("away", DOWN_PAUSE)
    assert f"no answer from the service at http://127.0.0.1:{unused_tcp_port} (" in str(error)
    assert "(Cannot connect to host" in str(error)  # why, in the library's own words
    assert str(error).endswith("is it running?")
    assert "s3cret" not in str(error)


async def test_service_that_takes_connections_and_says_nothing_is_away(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "ANSWER_SECONDS", 0.1)
    played.posts = [Answer({}, seconds=5)]
    async with client_of(played.url) as client:
        error = await failure(client)

    assert isinstance(error, SolverUnavailable)
    assert error.state == "away"


async def test_service_that_hangs_up_is_away(client: SolverClient, played: Played) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, client_of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as one:
        error = await failure(one)

    assert isinstance(error, SolverUnavailable)
    assert error.state == "away"


# A service that is full


async def test_full_service_is_asked_again_when_it_says(
    played: Played, client: SolverClient
) -> None:
    full = Answer(FULL, 503, {"Retry-After": "0.2"})
    played.posts = [full, full, *played.posts]
    started = time.monotonic()

    assert await client.solve(TASK, ignore) == DATA
    assert 0.4 <= time.monotonic() - started < 4  # and not 2 s for each, as by itself
    assert len(played.paths("POST")) == 3


@pytest.mark.parametrize(
    ("header", "pause"),
    [
        ({}, answers_module.DEFAULT_RETRY_AFTER),
        ({"Retry-After": "Fri, 31 Dec 2027 23:59:59 GMT"}, answers_module.DEFAULT_RETRY_AFTER),
        ({"Retry-After": "30"}, 30.0),
    ],
    ids=str,
)
async def test_service_that_stays_full_beyond_the_tasks_time_is_busy(
    played: Played, client: SolverClient, header: dict[str, str], pause: float
) -> None:
    played.posts = [Answer(FULL, 503, header)]

    error = await failure(client, {**TASK, "timeout": 0.01})

    assert isinstance(error, SolverUnavailable)
    assert (error.state, error.pause) == ("busy", pause)
    assert str(error) == "the service takes no tasks: 1000 tasks are pending."


async def test_pause_longer_than_the_tasks_time_is_not_waited_for(
    played: Played, client: SolverClient
) -> None:
    played.posts = [Answer(FULL, 503, {"Retry-After": "21"})]
    started = time.monotonic()

    error = await failure(client)

    assert isinstance(error, SolverUnavailable)
    assert error.pause == 21.0
    assert time.monotonic() - started < 15
    assert len(played.asked) == 1


# A task that does not work out


@pytest.mark.parametrize(
    ("view", "told"),
    [
        (
            {"status": "error", "error": {"code": "dns_error", "message": "No such host."}},
            "dns_error: No such host.",
        ),
        (
            {"status": "error", "error": {"code": "not_a_page", "message": "Empty."}, "data": None},
            "not_a_page: Empty.",
        ),
        ({"status": "cancelled", "error": None}, "cancelled: the service lost it"),
    ],
)
async def test_tasks_own_failure_says_nothing_about_the_service(
    played: Played, client: SolverClient, view: dict[str, Any], told: str
) -> None:
    played.views = [Answer(view)]

    error = await failure(client)

    assert not isinstance(error, SolverUnavailable)
    assert (error.kind, str(error)) == ("unsolved", told)
    assert len(played.paths("POST")) == 1


@pytest.mark.parametrize(
    "lost",
    [GONE, {"status": "error", "error": {"code": "shutting_down", "message": "It ends."}}],
    ids=["forgotten", "shut down"],
)
async def test_task_that_a_restarted_service_has_lost_is_sent_again_once(
    played: Played, client: SolverClient, lost: dict[str, Any]
) -> None:
    played.posts = [Answer({"task_id": "t1"}, 202), Answer({"task_id": "t2"}, 202)]
    played.views = [Answer(RUNNING), Answer(lost), Answer(DONE)]

    assert await client.solve(TASK, ignore) == DATA
    assert [path.partition("?")[0] for path in played.paths("GET")] == [
        *("/result/t1", "/result/t1", "/result/t2")
    ]


async def test_service_that_always_loses_a_task_may_be_crashing_of_it(
    played: Played, client: SolverClient
) -> None:
    played.views = [Answer(GONE)]

    assert str(await failure(client)) == "not_found: the service lost it"
    assert len(played.paths("POST")) == 2


async def test_service_that_restarts_gets_time_to_come_back(unused_tcp_port: int) -> None:
    first, second = web.Application(), Played()

    async def taken(request: web.Request) -> web.Response:
        return web.json_response({"task_id": "t1"}, status=202)

    async def forgotten(request: web.Request) -> web.Response:
        await listening.stop()
        return web.json_response(GONE, status=404, headers={"Connection": "close"})

    first.router.add_post("/solve", taken)
    first.router.add_get("/result/t1", forgotten)
    async with running(first) as old, running(second.app()) as new:
        listening = web.TCPSite(old, "127.0.0.1", unused_tcp_port)
        await listening.start()
        async with client_of(f"http://127.0.0.1:{unused_tcp_port}") as client:
            solving = asyncio.create_task(client.solve(TASK, ignore))
            assert await eventually(lambda: not old.sites, 60)
            await asyncio.sleep(0.2)
            await web.TCPSite(new, "127.0.0.1", unused_tcp_port).start()

            assert await solving == DATA

    assert second.paths("POST") == ["/solve"]


@asynccontextmanager
async def running(app: web.Application) -> AsyncIterator[web.AppRunner]:
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    yield runner
    await runner.cleanup()


# Answers that are no answers


@pytest.mark.parametrize("status", [200, 202, 400, 404, 503])
async def test_whatever_else_is_at_the_address_ends_in_an_error_that_says_so(
    played: Played, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(answers_module, "DEFAULT_RETRY_AFTER", 1.0)
    async with client_of(played.url) as client:
        for text in GARBAGE:
            played.posts = [Answer(text, status)]
            error = await failure(client, {**TASK, "timeout": 0.5})

            assert isinstance(error, SolverUnavailable) or error.kind == "rejected", text[:99]


async def test_garbage_for_a_result_is_asked_again_and_given_up_in_the_end(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PATIENCE_SECONDS", -1.0)
    async with client_of(played.url) as client:
        for text in GARBAGE:
            played.views = [Answer(text)]
            error = await failure(client)

            assert isinstance(error, SolverUnavailable) or text in OF_A_TASK, text[:99]


async def test_result_without_the_contracts_fields_is_another_services(
    played: Played, client: SolverClient
) -> None:
    for name in DATA.keys() & answers_module._Data.__annotations__.keys():
        data = {key: value for key, value in DATA.items() if key != name}
        played.views = [Answer({**DONE, "data": data})]

        error = await failure(client)

        assert isinstance(error, SolverUnavailable)
        assert error.state == "refusing"
        assert "is CAPTCHA_BYPASS_URL right?" in str(error)


async def test_result_may_have_more_fields_than_are_known(
    played: Played, client: SolverClient
) -> None:
    """A newer service's."""
    played.views = [Answer({**DONE, "data": {**DATA, "hints": ["x"]}, "position": 1})]

    assert (await client.solve(TASK, ignore))["url"] == TASK["url"]


async def test_service_in_trouble_is_asked_again_for_a_task_that_it_has(
    played: Played, client: SolverClient
) -> None:
    played.views = [Answer("", 502), Answer("<html>", 200), Answer(DONE)]

    assert await client.solve(TASK, ignore) == DATA
    assert len(played.paths("POST")) == 1


async def test_service_that_holds_no_more_requests_is_asked_without_waiting(
    played: Played, client: SolverClient
) -> None:
    crowded = {"error": {"code": "too_many_waiting", "message": "1000 requests are waiting."}}
    played.views = [Answer(crowded, 503), Answer(RUNNING), Answer(DONE)]

    assert await client.solve(TASK, ignore) == DATA
    waits = [path.partition("wait=")[2] for path in played.paths("GET")]
    assert waits == ["0.05", "0", "0.05"]  # for one question only


async def test_service_that_holds_no_more_requests_is_no_service_that_is_away(
    monkeypatch: pytest.MonkeyPatch, fake: FakeService
) -> None:
    monkeypatch.setattr(client_module, "PATIENCE_SECONDS", 1.2)
    fake.holds, fake.seconds = False, 2.0
    async with client_of(fake.url, long_poll=5) as client:
        assert (await client.solve(TASK, ignore))["status_code"] == 200

    assert len(fake.calls) < 10


async def test_service_that_went_away_with_a_task_is_not_waited_for_for_ever(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PATIENCE_SECONDS", 0.6)
    played.views = [Answer("", 502)]
    async with client_of(played.url) as client:
        error = await failure(client)

    assert isinstance(error, SolverUnavailable)
    assert (error.state, error.pause) == ("away", DOWN_PAUSE)
    assert str(error) == "GET /result was answered 502, not in the service's own words"
    assert played.paths("DELETE") == ["/task/t1"]


# The end of a crawl


async def test_closing_spider_gives_its_task_back(played: Played) -> None:
    played.views = [Answer(RUNNING)]
    ending: list[bool] = []
    async with client_of(played.url, closing=lambda: bool(ending)) as client:
        solving = asyncio.create_task(client.solve(TASK, ignore))
        assert await eventually(lambda: len(played.paths("GET")) >= 2, 60)
        ending.append(True)
        with pytest.raises(CrawlEnding):
            async with asyncio.timeout(15):
                await solving

    assert played.paths("DELETE") == ["/task/t1"]


async def test_closing_spider_asks_for_nothing_more(played: Played) -> None:
    async with client_of(played.url, closing=lambda: True) as client:
        with pytest.raises(CrawlEnding):
            await client.solve(TASK, ignore)

    assert played.asked == []


async def test_closing_spider_does_not_wait_for_a_full_service(played: Played) -> None:
    played.posts = [Answer(FULL, 503, {"Retry-After": "19"})]
    async with client_of(played.url, closing=lambda: len(played.asked) > 0) as client:
        with pytest.raises(CrawlEnding):
            async with asyncio.timeout(15):
                await client.solve(TASK, ignore)


async def test_cancelled_solve_gives_its_task_back(played: Played, client: SolverClient) -> None:
    played.views = [Answer(RUNNING)]
    solving = asyncio.create_task(client.solve(TASK, ignore))
    assert await eventually(lambda: len(played.paths("GET")) >= 1, 60)

    solving.cancel()

    with pytest.raises(asyncio.CancelledError):
        await solving
    assert played.paths("DELETE") == ["/task/t1"]


async def test_solve_that_is_cancelled_before_it_knows_its_task_gives_it_back(
    played: Played, client: SolverClient
) -> None:
    played.posts[0].seconds = 1.0
    solving = asyncio.create_task(client.solve(TASK, ignore))
    assert await eventually(lambda: len(played.asked) == 1, 60)

    solving.cancel()

    with pytest.raises(asyncio.CancelledError):
        await solving
    assert [asked.path for asked in played.asked] == ["/solve", "/task/t1"]


@pytest.mark.parametrize(
    "answer", [Answer(FULL, 503), Answer({"task_id": "t1"}, 202, seconds=30)], ids=["503", "none"]
)
async def test_task_that_is_not_taken_holds_up_no_end(
    played: Played, client: SolverClient, answer: Answer
) -> None:
    played.posts = [answer]
    solving = asyncio.create_task(client.solve(TASK, ignore))
    assert await eventually(lambda: len(played.asked) == 1, 60)

    solving.cancel()

    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(15):
            await solving
    assert not played.paths("DELETE")


@pytest.mark.parametrize("answer", [Answer("", 500), Answer("{}", seconds=30)], ids=["500", "none"])
async def test_service_that_does_not_take_a_task_back_holds_up_nobody(
    played: Played, answer: Answer
) -> None:
    played.views, played.deletes = [Answer(RUNNING)], [answer]
    async with client_of(played.url, closing=lambda: len(played.asked) > 2) as client:
        with pytest.raises(CrawlEnding):
            async with asyncio.timeout(15):
                await client.solve(TASK, ignore)


async def test_client_can_be_closed_before_and_after_its_work(played: Played) -> None:
    async with client_of(played.url) as client:
        await client.close()
        await client.solve(TASK, ignore)
        await client.close()


# What people are told, and deadlines


async def test_slow_task_is_mentioned_once_with_what_it_waits_for(played: Played) -> None:
    played.views = [*[Answer(PENDING)] * 3, *[Answer(RUNNING)] * 3, Answer(DONE)]
    told: list[str] = []
    async with client_of(played.url, slow=0) as client:
        await client.solve(TASK, told.append)

    assert told == ["a free browser: the task is in the service's queue"]


@pytest.mark.parametrize(
    ("plan", "state"),
    [
        ({"views": [Answer(RUNNING), Answer(DONE)]}, "the browser to get through (at most 20 s)"),
        (
            {"posts": [Answer(FULL, 503, {"Retry-After": "0.1"})]},
            "a place: 1000 tasks are pending.",
        ),
        (
            {"views": [Answer("", 502), Answer(DONE)]},
            "the service: GET /result was answered 502, not in the service's own words",
        ),
    ],
    ids=["running", "full", "in trouble"],
)
async def test_slow_task_says_whom_it_waits_for(
    played: Played, plan: dict[str, list[Answer]], state: str
) -> None:
    for name, answers in plan.items():
        setattr(played, name, answers)
    told: list[str] = []
    ended = asyncio.Event()

    def tell(what: str) -> None:
        told.append(what)
        ended.set()

    async with client_of(played.url, slow=0) as client:
        solving = asyncio.create_task(client.solve(TASK, tell))
        async with asyncio.timeout(60):
            await ended.wait()
        solving.cancel()
        await asyncio.gather(solving, return_exceptions=True)

    assert told == [state]


async def test_a_person_is_waited_for_as_long_as_the_service_does_and_told_of_once(
    played: Played,
) -> None:
    link = "http://service.test/dashboard#/task/t1"
    waiting = {"status": "waiting_for_human", "error": None, "data": None, "link": link}
    # Longer than a task may run beyond its timeout; each answer moves that.
    played.views = [Answer(RUNNING), *[Answer(waiting, seconds=0.3)] * 5, Answer(DONE)]
    told: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("captcha_bypass_scrapy.progress.GRACE_SECONDS", 0.6)
        async with client_of(played.url) as client:
            assert await client.solve({**TASK, "timeout": 0.6}, ignore, told.append) == DATA
    assert told == [link]


async def test_queue_in_which_nothing_moves_is_given_up(played: Played) -> None:
    played.views = [Answer(PENDING)]
    async with client_of(played.url, patience=0.2) as client:
        error = await failure(client)

    assert isinstance(error, SolverUnavailable)
    assert "0.2 s were spent waiting for a free browser" in str(error)
    assert played.paths("DELETE") == ["/task/t1"]


async def test_queue_in_which_other_tasks_move_is_waited_for(played: Played) -> None:
    played.views = [*[Answer(PENDING, seconds=0.1)] * 15, Answer(DONE)]
    async with client_of(played.url, patience=1.0) as client:
        solving = asyncio.create_task(client.solve(TASK, ignore))
        while not solving.done():
            client.moved = time.monotonic()  # as another solve of this crawl notes
            await asyncio.wait({solving}, timeout=0.1)

        assert await solving == DATA


async def test_client_notes_when_its_tasks_get_on(played: Played, client: SolverClient) -> None:
    before = client.moved

    await client.solve(TASK, ignore)

    assert before == 0.0
    assert time.monotonic() - client.moved < 60
