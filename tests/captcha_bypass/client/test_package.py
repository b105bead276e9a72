"""Both clients over a real service; only the browser's outcome is scripted."""

from __future__ import annotations

import asyncio
import http.client
import re
import subprocess
import sys
import threading
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from captcha_bypass.client import (
    AsyncClient,
    Client,
    Hint,
    NotSolved,
    RequestRefused,
    ServiceError,
    TaskFailed,
)
from captcha_bypass.fetching.messages import ChallengeNotPassed, TimeIsUp
from captcha_bypass.wire.fetch import NotThrough, Obstacle
from captcha_bypass.wire.task import SessionKey
from tests.support.clients import Caller, ScriptedFetches, calling, refuse
from tests.support.fetching import FineFetches
from tests.support.flaresolverr_service import V1, FakeSessions, serving
from tests.support.native_tasks import SOLUTION
from tests.support.scripted_queue import Script, until

URL = "http://site.test/"
KINDS = pytest.mark.parametrize("kind", ["sync", "async"])


async def ending(script: Script, outcome: dict[str, Any], work: Any) -> Any:  # noqa: ANN401
    """Let the one task that some work brings about end so, and return what came of the work."""
    asked = asyncio.ensure_future(work)
    await until(lambda: bool(script.running) or asked.done())
    for task_id in list(script.running):
        script.end(task_id, outcome)
    return await asked


async def test_a_page_that_is_through_is_a_typed_result(caller: Caller, script: Script) -> None:
    result = await ending(
        script, {"data": {**SOLUTION, "screenshot": "UE5H"}}, caller.solve(URL, timeout=10)
    )
    assert (result.url, result.status_code, result.user_agent) == (URL, 200, "Mozilla/5.0")
    assert result.html.startswith("<p>Welcome")
    assert result.screenshot == b"PNG"
    assert {cookie.name for cookie in result.cookies} == {"cf_clearance", "session"}
    (payload,) = script.payloads.values()
    assert payload == {"url": URL, "no_challenge": True, "timeout": 10}


async def test_client_reads_an_answer_with_whose_last_byte_python_closes_the_connection(
    service: V1, monkeypatch: pytest.MonkeyPatch
) -> None:
    read1: Any = http.client.HTTPResponse.read1

    def as_newer_pythons_do(self: Any, n: int = -1) -> bytes:  # noqa: ANN401 - gh-113199
        found: bytes = read1(self, n)
        if self.length == 0 and self.fp is not None:
            self._close_conn()
        return found

    monkeypatch.setattr(http.client.HTTPResponse, "read1", as_newer_pythons_do)
    assert (await asyncio.to_thread(Client(service.url).health)).status == "ok"


async def test_what_is_asked_for_reaches_the_service(caller: Caller, script: Script) -> None:
    result = await ending(script, {"data": SOLUTION}, caller.solve(URL))
    await ending(
        script,
        {"data": SOLUTION},
        caller.solve(
            URL,
            success_text="Welcome",
            proxy="http://me:s%3Ac@proxy.test:3128",
            cookies=result.cookie_list,
            headers={"X-Mine": "1"},
            block=("image",),
            screenshot=True,
        ),
    )
    payload = list(script.payloads.values())[-1]
    assert payload["success_text"] == "Welcome"
    assert "no_challenge" not in payload
    login = {"username": "me", "password": "s:c"}
    assert payload["proxy"] == {"server": "http://proxy.test:3128", **login}
    assert [cookie["name"] for cookie in payload["cookies"]] == ["cf_clearance", "session"]
    assert payload["cookies"][0]["expires"] == 1893456000.5
    assert (payload["block"], payload["screenshot"]) == (["image"], True)


async def test_a_page_that_is_not_through_is_an_error_that_has_it_and_says_why(
    caller: Caller, script: Script
) -> None:
    hints = [{"code": "text_other_case", "message": "The text is there in another case."}]
    data = {**SOLUTION, "timeout_reached": True, "challenge": "cloudflare"}
    data |= {"challenge_kind": "human", "unmet": ["success_text"]}
    with pytest.raises(NotSolved, match="challenge of cloudflare after 10 s") as raised:
        await ending(script, {"data": {**data, "hints": hints}}, caller.solve(URL, timeout=10))
    assert raised.value.code == "challenge_not_passed"
    told = "It wants a person. Unmet: success_text. The text is there in another case."
    assert told in str(raised.value)
    assert raised.value.result is not None
    assert [hint.code for hint in raised.value.result.hints] == ["text_other_case"]
    assert raised.value.result.html == SOLUTION["html"]
    error = raised.value
    assert (error.challenge, error.challenge_kind) == ("cloudflare", "human")
    assert (error.unmet, error.hints) == (("success_text",), raised.value.result.hints)


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"timeout_reached": True}, "timeout", "did not hold within 60 s .HTTP 200."),
        ({"timeout_reached": True, "status_code": None}, "timeout", "sent no page"),
        ({"block": "akamai"}, "challenge_not_passed", "akamai refuses this visitor"),
    ],
)
async def test_each_way_not_to_get_through_is_told(
    caller: Caller, script: Script, changes: dict[str, Any], code: str, words: str
) -> None:
    with pytest.raises(NotSolved, match=words) as raised:
        await ending(script, {"data": SOLUTION | changes}, caller.solve(URL))
    assert raised.value.code == code


async def test_a_task_without_a_page_is_an_error_with_the_services_code(
    caller: Caller, script: Script
) -> None:
    error = {"code": "dns_error", "message": "The name cannot be resolved."}
    with pytest.raises(TaskFailed, match="dns_error: The name") as raised:
        await ending(script, {"error": error}, caller.solve(URL))
    assert (raised.value.code, raised.value.result) == ("dns_error", None)


async def test_a_file_behind_a_challenge_is_an_error_that_has_its_cookies(
    caller: Caller, script: Script
) -> None:
    error = {"code": "not_a_page", "message": "A download."}
    with pytest.raises(TaskFailed) as raised:
        await ending(script, {"error": error, "data": SOLUTION}, caller.solve(URL))
    assert raised.value.result is not None
    assert len(list(raised.value.result.cookies)) == 2


async def test_a_request_that_is_refused_names_the_fields(caller: Caller) -> None:
    with pytest.raises(RequestRefused, match="timeout") as raised:
        await caller.solve(URL, timeout=0)
    assert (raised.value.code, raised.value.status) == ("invalid_request", 400)
    assert set(raised.value.fields) == {"timeout"}


async def test_a_fetch_is_the_sites_own_answer(caller: Caller, fetches: ScriptedFetches) -> None:
    answer = await caller.fetch(URL, headers={"X-Mine": "1"}, jar="mine")
    assert (answer.status_code, answer.text, answer.solved) == (200, "café", "cloudflare")
    assert [value for name, value in answer.headers if name == "X-Two"] == ["1", "2"]
    assert answer.header("x-two") == "1"
    assert (await caller.fetch(URL, method="POST", content=b"\0[1]")).content == b"\0[1]"
    assert (await caller.fetch(URL, method="PUT", content="[2]")).json() == [2]
    first, second, _ = fetches.requests
    assert (first.headers, first.jar, first.content) == ({"X-Mine": "1"}, "mine", None)
    assert second.method == "POST"


@pytest.mark.parametrize(
    ("code", "error"), [("challenge_not_passed", NotSolved), ("tls_error", TaskFailed)]
)
async def test_a_fetch_without_an_answer_is_an_error_with_the_services_code(
    caller: Caller, fetches: ScriptedFetches, code: str, error: type[TaskFailed]
) -> None:
    fetches.fail(code, "Told by the service.")
    with pytest.raises(error, match="Told by the service") as raised:
        await caller.fetch(URL)
    assert raised.value.code == code


@pytest.mark.parametrize("kind", [ChallengeNotPassed, TimeIsUp])
async def test_a_fetch_that_is_not_through_is_an_error_that_says_why(
    caller: Caller, fetches: ScriptedFetches, kind: type[NotThrough]
) -> None:
    hint = {"code": "text_hidden", "message": "Nobody can see the text.", "value": "Hi"}
    why = {"challenge": "anubis", "challenge_kind": "human", "unmet": ["success_text"]}
    fetches.error = kind("Told.", Obstacle.model_validate({**why, "hints": [hint]}))
    told = f"{kind.code}: Told. Unmet: success_text. Nobody can see the text."
    with pytest.raises(NotSolved, match=re.escape(told)) as raised:
        await caller.fetch(URL)
    error = raised.value
    assert (error.code, error.result) == (kind.code, None)
    assert (error.challenge, error.challenge_kind) == ("anubis", "human")
    assert (error.unmet, error.hints) == (("success_text",), (Hint(**hint),))


@pytest.mark.parametrize("given", [["Welcome", "Hi"], ("Welcome", "Hi")])
async def test_any_text_or_selector_of_several_is_enough(
    caller: Caller, script: Script, fetches: ScriptedFetches, given: list[str]
) -> None:
    wanted = {"success_text": given, "success_selector": ("#a", "#b")}
    await ending(script, {"data": SOLUTION}, caller.solve(URL, **wanted))
    (payload,) = script.payloads.values()
    assert payload["success_text"] == ["Welcome", "Hi"]
    assert payload["success_selector"] == ["#a", "#b"]
    await caller.fetch(URL, success_text=given, success_selector="#a")
    (request,) = fetches.requests
    assert (request.success_text, request.success_selector) == (["Welcome", "Hi"], "#a")


@pytest.mark.parametrize("bad", [5, [], ["Welcome", " "], ["a"] * 17])
async def test_a_condition_that_is_none_is_refused_by_its_name(caller: Caller, bad: object) -> None:
    for asked in (caller.solve(URL, success_text=bad), caller.fetch(URL, success_text=bad)):
        with pytest.raises(RequestRefused) as raised:
            await asked
        assert {name.partition(".")[0] for name in raised.value.fields} == {"success_text"}


async def test_a_session_is_named_in_all_calls_and_ended(
    caller: Caller, script: Script, fetches: ScriptedFetches, service: V1
) -> None:
    key = SessionKey("", "a/b {}")
    service.sessions.create(key, None)
    await ending(script, {"data": SOLUTION}, caller.in_session("a/b {}", URL))
    assert [payload["session"] for payload in script.payloads.values()] == ["a/b {}"]
    assert [request.session for request in fetches.requests] == ["a/b {}"]
    assert key not in service.sessions.made


async def test_health_says_whether_tasks_can_run(caller: Caller, service: V1) -> None:
    health = await caller.health()
    assert (health.ok, health.status) == (True, "ok")
    await service.queue.stop(0)
    health = await caller.health()
    assert (health.ok, health.status) == (False, "unavailable")
    assert health.reason


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8191", "", "ftp://host", "http://", "http://h:x", "http://a:b@h", "http://h/?a=b"],
)
@pytest.mark.parametrize("make", [Client, AsyncClient])
def test_an_address_that_cannot_be_right_is_told_at_once(
    url: str, make: type[Client | AsyncClient]
) -> None:
    with pytest.raises(ServiceError) as raised:
        make(url)
    assert raised.value.code == "invalid_url"


def test_a_key_that_cannot_be_right_is_told_and_not_repeated() -> None:
    with pytest.raises(ServiceError) as raised:
        Client("http://127.0.0.1:8191", "CANARY with blanks")
    assert raised.value.code == "invalid_api_key"
    assert "CANARY" not in str(raised.value)


@KINDS
@pytest.mark.parametrize("work", ["solve", "fetch", "health", "check"])
async def test_where_nothing_listens_the_address_is_in_the_error(kind: str, work: str) -> None:
    port = unused_port()
    async with calling(kind, f"http://127.0.0.1:{port}") as caller:
        with pytest.raises(ServiceError, match=f"127.0.0.1:{port}") as raised:
            await getattr(caller, work)(*([URL] if work in ("solve", "fetch") else []))
    assert raised.value.code == "unreachable"


@KINDS
@pytest.mark.parametrize("work", ["solve", "fetch", "health", "check"])
async def test_another_server_is_not_taken_for_the_service(kind: str, work: str) -> None:
    app = web.Application()

    async def hello(_: web.Request) -> web.Response:
        return web.json_response({"hello": "world"})

    app.router.add_route("*", "/{rest:.*}", hello)
    async with TestServer(app) as server, calling(kind, str(server.make_url("/"))) as caller:
        with pytest.raises(ServiceError, match="is not captcha-bypass") as raised:
            await getattr(caller, work)(*([URL] if work in ("solve", "fetch") else []))
    assert raised.value.code == "not_the_service"


@KINDS
@pytest.mark.parametrize("work", ["solve", "fetch", "check"])
async def test_a_wrong_key_is_told_with_the_remedy_and_nothing_is_sent(
    kind: str, work: str
) -> None:
    async with (
        serving(refuse, FakeSessions(), api_key=("the-right-key",)) as service,
        calling(kind, service.url, "CANARY-wrong") as caller,
    ):
        with pytest.raises(ServiceError, match="CAPTCHA_BYPASS_API_KEY") as raised:
            await getattr(caller, work)(*([URL] if work in ("solve", "fetch") else []))
    assert raised.value.code == "unauthorized"
    assert "CANARY" not in str(raised.value)


@KINDS
async def test_the_right_key_is_sent(kind: str) -> None:
    keys = ("the-right-key",)
    async with (
        serving(refuse, FakeSessions(), FineFetches(), api_key=keys) as service,
        calling(kind, service.url, *keys) as caller,
    ):
        await caller.check()
        assert (await caller.fetch(URL)).content == b"body"


async def test_a_caller_that_is_cancelled_cancels_its_task(service: V1, script: Script) -> None:
    async with AsyncClient(service.url) as client:
        asked = asyncio.create_task(client.solve(URL))
        await until(lambda: bool(script.running))
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    await until(lambda: script.cancelled == script.started)


async def test_a_caller_that_is_interrupted_cancels_its_task(service: V1, script: Script) -> None:
    def interrupt(state: str) -> None:
        raise KeyboardInterrupt

    client = Client(service.url, long_poll=0.1, on_state=interrupt)
    asked = asyncio.to_thread(client.solve, URL)
    with pytest.raises(KeyboardInterrupt):
        # Not through a task: an event loop passes this exception on by itself.
        await _raised_in_thread(asked)
    await until(lambda: script.cancelled == script.started)
    assert script.started


async def _raised_in_thread(work: Any) -> None:  # noqa: ANN401
    """Await work in a thread whose exception is none that an event loop ends by."""
    raise (await _outcome(work)) or AssertionError("it was not interrupted")


async def _outcome(work: Any) -> BaseException | None:  # noqa: ANN401
    try:
        await work
    except KeyboardInterrupt as error:
        return error
    return None


async def test_where_a_task_stands_is_told(service: V1, script: Script) -> None:
    states: list[str] = []
    client = AsyncClient(service.url, long_poll=0.05, on_state=states.append)
    async with client:
        asked = asyncio.create_task(client.solve(URL))
        await until(lambda: "running" in states)
        script.end(script.started[0], {"data": SOLUTION})
        await asked
    assert set(states) <= {"pending", "running"}


async def test_nothing_is_left_behind(service: V1, script: Script) -> None:
    threads, tasks = set(threading.enumerate()), set(asyncio.all_tasks())

    def alone() -> set[threading.Thread]:
        with Client(service.url) as client:
            client.health()
        return set(threading.enumerate()) - threads - {threading.current_thread()}

    assert await asyncio.to_thread(alone) == set()
    async with AsyncClient(service.url) as client:
        await client.health()
    left = {t for t in asyncio.all_tasks() - tasks if "captcha_bypass/client" in repr(t)}
    assert left == set()
    assert client._connection._session is None


def test_address_and_key_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPTCHA_BYPASS_URL", "http://service.test:99/below/")
    monkeypatch.setenv("CAPTCHA_BYPASS_API_KEY", "first-key,second-key")
    client = Client()
    assert client.url == "http://service.test:99/below"
    assert client._address.headers["Authorization"] == "Bearer first-key"
    monkeypatch.delenv("CAPTCHA_BYPASS_URL")
    assert Client().url == "http://127.0.0.1:8191"


def test_the_package_needs_nothing_of_the_services_own() -> None:
    """aiohttp takes as long to load as all the rest, and is there for `AsyncClient` alone."""
    heavy = ["pydantic", "playwright", "camoufox", "psutil", "prometheus_client", "aiohttp"]
    heavy += ["requests", "httpx", "httpx2", "scrapy"]
    program = (
        "import sys, captcha_bypass.client\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
