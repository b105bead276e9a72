"""The command line, against a real service; only the browser's outcome is scripted."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import pty
import re
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer, unused_port

from captcha_bypass.client.commands import Streams, main
from captcha_bypass.fetching.messages import TimeIsUp
from captcha_bypass.wire.fetch import Obstacle
from demo.challenge_pages import SUCCESS_TEXT
from demo.challenge_site import SiteOptions, create_site
from tests.support.clients import ScriptedFetches
from tests.support.flaresolverr_service import V1, FakeSessions, serving
from tests.support.native_tasks import SOLUTION
from tests.support.scripted_queue import Script, until
from tests.support.stand_in_browser import StandInBrowser

URL = "http://site.test/"
UNFINISHED = {**SOLUTION, "timeout_reached": True, "challenge": "cloudflare", "solved": None}


@dataclass
class Said:
    code: int
    out: str
    err: str


class Out(io.StringIO):
    """A pipe, that also takes bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = io.BytesIO()

    @property
    def buffer(self) -> io.BytesIO:
        return self.bytes


def run(*argv: str, **environ: str) -> Said:
    """Run a command in this thread."""
    out, err = Out(), Out()
    code = main(argv, environ, Streams(out, err))
    return Said(code, out.getvalue() + out.bytes.getvalue().decode("latin-1"), err.getvalue())


async def solving(service: V1, script: Script, outcome: dict[str, Any], *argv: str) -> Said:
    """Run `solve` with a task that ends so."""
    asked = asyncio.create_task(
        asyncio.to_thread(run, "solve", URL, *argv, CAPTCHA_BYPASS_URL=service.url)
    )
    await until(lambda: bool(script.running) or asked.done())
    for task_id in list(script.running):
        script.end(task_id, outcome)
    return await asked


async def test_a_summary_tells_a_person_what_came_of_it(service: V1, script: Script) -> None:
    said = await solving(service, script, {"data": {**SOLUTION, "solved": "cloudflare"}})
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        f"through  {URL} (HTTP 200, 1.5 s; a challenge of cloudflare was passed)",
        "cookies  cf_clearance, session",
        "agent    Mozilla/5.0",
    ]


async def test_what_is_asked_for_reaches_the_service(service: V1, script: Script) -> None:
    argv = ["--text", "Welcome", "--selector", "#a", "--selector", "#b", "--timeout", "7"]
    argv += ["--header", "X-Mine: 1: 2", "--session", "mine", "--block", "image"]
    argv += ["--proxy", "http://proxy.test:1", "--screenshot", os.devnull]
    argv += ["--on-challenge", "report"]
    await solving(service, script, {"data": SOLUTION}, *argv)
    (payload,) = script.payloads.values()
    assert payload == {
        "url": URL,
        "success_text": "Welcome",
        "success_selector": ["#a", "#b"],
        "timeout": 7,
        "headers": {"X-Mine": "1: 2"},
        "session": "mine",
        "block": ["image"],
        "proxy": {"server": "http://proxy.test:1"},
        "screenshot": True,
        "on_challenge": "report",
    }


async def test_whoever_waits_is_told_where_a_person_is_needed(
    service: V1, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("captcha_bypass.client.tasks.HUMAN_POLL", 0.05)
    out, err = Out(), Out()
    argv = ["solve", URL, "--url", service.url, "--on-challenge", "wait"]
    asked = asyncio.create_task(asyncio.to_thread(main, argv, {}, Streams(out, err)))
    await until(lambda: bool(script.running))
    (task_id,) = script.running
    assert script.payloads[task_id]["on_challenge"] == "wait"
    link = f"http://service.test/dashboard#/task/{task_id}"
    await service.queue.leave_slot(task_id, 60, link)
    await until(lambda: bool(err.getvalue()))
    assert err.getvalue() == f"A person is needed: {link}\n"
    script.end(task_id, {"data": SOLUTION})
    assert await asked == 0


async def test_reuse_prints_the_cookies_that_are_there(service: V1, script: Script) -> None:
    before = await solving(service, script, {"data": SOLUTION}, "--json")
    argv = ("solve", URL, "--url", service.url, "--reuse", "60", "--json")
    said = await asyncio.to_thread(run, *argv)
    assert said.code == 0
    first, second = json.loads(before.out), json.loads(said.out)
    assert second["cookies"] == first["cookies"]
    assert second["clearance"]["id"] == first["clearance"]["id"]
    assert len(script.started) == 1


async def test_a_proxys_login_comes_from_the_environment(service: V1, script: Script) -> None:
    login = {"CAPTCHA_BYPASS_PROXY_USERNAME": "me", "CAPTCHA_BYPASS_PROXY_PASSWORD": "secret"}
    argv = ("solve", URL, "--url", service.url, "--proxy", "http://proxy.test:1")
    asked = asyncio.create_task(asyncio.to_thread(run, *argv, "--curl", **login))
    await until(lambda: bool(script.running))
    script.end(script.started[0], {"data": SOLUTION})
    said = await asked
    (payload,) = script.payloads.values()
    assert payload["proxy"] == {
        "server": "http://proxy.test:1",
        "username": "me",
        "password": "secret",
    }
    assert "secret" not in said.out


async def test_json_is_all_that_the_service_tells(service: V1, script: Script) -> None:
    said = await solving(service, script, {"data": SOLUTION}, "--json")
    told = json.loads(said.out)
    assert not told["clearance"]["reused"]
    assert told == SOLUTION | {"clearance": told["clearance"]}
    said = await solving(service, script, {"data": UNFINISHED}, "--json")
    assert (said.code, json.loads(said.out)["challenge"]) == (1, "cloudflare")
    error = {"code": "dns_error", "message": "The name cannot be resolved."}
    said = await solving(service, script, {"error": error}, "--json")
    assert (said.code, json.loads(said.out)["error"]["code"]) == (4, "dns_error")


async def test_html_is_the_page_and_nothing_else(service: V1, script: Script) -> None:
    said = await solving(service, script, {"data": SOLUTION}, "--html")
    assert (said.out, said.err) == (SOLUTION["html"] + "\n", "")


async def test_files_are_written_for_the_user_alone(
    service: V1, script: Script, tmp_path: Path
) -> None:
    names = {"--cookies": "c.txt", "--storage-state": "s.json", "--screenshot": "s.png"}
    argv = [part for flag, name in names.items() for part in (flag, str(tmp_path / name))]
    said = await solving(service, script, {"data": {**SOLUTION, "screenshot": "UE5H"}}, *argv)
    assert sorted(re.findall(r"wrote    .*/(\S+)", said.out)) == sorted(names.values())
    assert (tmp_path / "s.png").read_bytes() == b"PNG"
    assert "cf_clearance" in (tmp_path / "c.txt").read_text()
    assert json.loads((tmp_path / "s.json").read_text())["cookies"] == SOLUTION["cookies"]
    for name in ("c.txt", "s.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


async def test_a_page_that_is_not_through_is_told_and_leaves_no_cookies(
    service: V1, script: Script, tmp_path: Path
) -> None:
    files = ("--cookies", str(tmp_path / "c"), "--screenshot", str(tmp_path / "s"))
    outcome = {"data": {**UNFINISHED, "screenshot": "UE5H"}}
    said = await solving(service, script, outcome, *files, "--timeout", "9", "--curl")
    assert (said.code, said.out) == (1, "")
    assert "it still shows a challenge of cloudflare after 9 s" in said.err
    assert os.listdir(tmp_path) == ["s"]  # noqa: PTH208


async def test_a_task_without_a_page_has_an_exit_code_of_its_own(
    service: V1, script: Script
) -> None:
    error = {"code": "tls_error", "message": "No trusted TLS connection."}
    said = await solving(service, script, {"error": error})
    assert (said.code, said.out) == (4, "")
    assert said.err == "captcha-bypass: tls_error: No trusted TLS connection.\n"


async def test_a_bad_argument_is_told_before_anything_is_done(service: V1, script: Script) -> None:
    for argv in (("--header", "no colon"), ("--api-key-file", "/nowhere"), ("--timeout", "-1")):
        said = await solving(service, script, {}, *argv)
        assert (said.code, said.out) == (2, ""), argv
        assert said.err
    assert script.started == []


async def test_a_file_that_cannot_be_written_is_told_before_anything_is_done(
    service: V1, script: Script, tmp_path: Path
) -> None:
    for flag in ("--cookies", "--storage-state", "--screenshot"):
        for file in ("/nowhere/file", str(tmp_path)):
            said = await solving(service, script, {}, flag, file)
            assert (said.code, said.out) == (2, "")
            assert f"{flag}: {file} cannot be written" in said.err
    assert script.started == []
    said = run("fetch", URL, "--output", "/nowhere/file", "--url", "http://127.0.0.1:1")
    assert (said.code, "--output: /nowhere/file cannot be written" in said.err) == (2, True)


def test_a_wrong_address_is_told_in_one_line_with_the_remedy() -> None:
    url = f"http://127.0.0.1:{unused_port()}"
    for command in ("solve", "fetch"):
        said = run(command, URL, "--url", url)
        assert (said.code, said.out) == (3, "")
        assert said.err.count("\n") == 1
        assert url in said.err
        assert "Is captcha-bypass running there" in said.err
    assert run("solve", URL, "--url", "127.0.0.1:8191").code == 2


async def test_the_key_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("# ours\n\nthe-right-key\n")
    fetches = ScriptedFetches()
    async with serving(Script(), FakeSessions(), fetches, api_key=("the-right-key",)) as service:

        async def code(*argv: str, **environ: str) -> int:
            argv = ("fetch", URL, "--url", service.url, *argv)
            return (await asyncio.to_thread(run, *argv, **environ)).code

        assert await code() == 3
        assert await code(CAPTCHA_BYPASS_API_KEY="the-wrong-key") == 3
        assert await code(CAPTCHA_BYPASS_API_KEY="the-right-key") == 0
        assert await code("--api-key-file", str(file)) == 0
        assert await code(CAPTCHA_BYPASS_API_KEY_FILE=str(file)) == 0


async def fetching(service: V1, *argv: str) -> Said:
    return await asyncio.to_thread(run, "fetch", URL, "--url", service.url, *argv)


async def test_a_fetch_prints_the_body_as_it_came(service: V1, fetches: ScriptedFetches) -> None:
    said = await fetching(service)
    assert (said.code, said.out, said.err) == (0, "caf\xe9", "")
    said = await fetching(service, "--include")
    assert said.out.startswith("HTTP 200\nContent-Type: text/plain; charset=latin-1\nX-Two: 1\n")
    said = await fetching(service, "--json")
    told = json.loads(said.out)
    assert base64.b64decode(told["content"]) == b"caf\xe9"
    assert (told["status_code"], told["solved"]) == (200, "cloudflare")


async def test_a_fetch_sends_what_it_is_told(
    service: V1, fetches: ScriptedFetches, tmp_path: Path
) -> None:
    file = tmp_path / "body"
    file.write_bytes(b"\0\1")
    await fetching(service, "--data", "a=1", "-H", "Content-Type: text/x-mine")
    await fetching(service, "-d", f"@{file}", "-X", "PUT", "-o", str(tmp_path / "answer"))
    first, second = fetches.requests
    assert (first.method, first.content) == ("POST", b"a=1")
    assert first.headers == {"Content-Type": "text/x-mine"}
    assert (second.method, second.content) == ("PUT", b"\0\1")
    assert (tmp_path / "answer").read_bytes() == b"\0\1"


async def test_any_text_of_several_is_enough(
    service: V1, script: Script, fetches: ScriptedFetches
) -> None:
    argv = ["--text", "Welcome", "--text", "Hi"]
    await solving(service, script, {"data": SOLUTION}, *argv)
    (payload,) = script.payloads.values()
    assert payload["success_text"] == ["Welcome", "Hi"]
    await fetching(service, *argv)
    (request,) = fetches.requests
    assert request.success_text == ["Welcome", "Hi"]


async def test_a_fetch_that_is_not_through_says_why(service: V1, fetches: ScriptedFetches) -> None:
    hint: dict[str, Any] = {"code": "text_hidden", "message": "Nobody can see it.", "value": "Hi"}
    why = {"challenge": None, "challenge_kind": None, "unmet": ["success_text"], "hints": [hint]}
    fetches.error = TimeIsUp("It was late.", Obstacle.model_validate(why))
    said = await fetching(service, "--json")
    told = "timeout: It was late. Unmet: success_text. Nobody can see it."
    assert (said.code, said.err) == (1, f"captcha-bypass: {told}\n")
    assert json.loads(said.out) == {"error": {"code": "timeout", "message": told, **why}}


async def test_a_fetch_that_does_not_get_through_has_the_exit_code_for_that(
    service: V1, fetches: ScriptedFetches
) -> None:
    fetches.fail("challenge_not_passed", "Told.")
    assert (await fetching(service)).code == 1
    fetches.fail("timeout", "Told.")
    assert (await fetching(service)).code == 4


@pytest.fixture
async def site() -> AsyncIterator[str]:
    async with TestServer(create_site(SiteOptions(work=0, cookie="cf_clearance"))) as server:
        yield f"http://127.0.0.1:{server.port}/page/1"


async def test_the_command_for_curl_gets_the_page(site: str) -> None:
    browser = StandInBrowser()
    async with serving(browser, FakeSessions()) as service:
        said = await asyncio.to_thread(run, "solve", site, "--url", service.url, "--curl")
    words = shlex.split(said.out)
    done = await asyncio.to_thread(
        subprocess.run, [*words, "--noproxy", "*"], capture_output=True, text=True, check=True
    )
    assert SUCCESS_TEXT in done.stdout


def program(*argv: str) -> list[str]:
    return [sys.executable, "-m", "captcha_bypass", *argv]


async def test_a_terminal_shows_what_is_waited_for_and_no_control_characters_of_the_site(
    service: V1, script: Script
) -> None:
    outer, inner = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *program("solve", URL, "--url", service.url),
        stdout=inner,
        stderr=inner,
        env={"PATH": os.environ["PATH"], "TERM": "xterm"},
    )
    os.close(inner)
    await until(lambda: bool(script.running))
    said = b""
    while b"waiting for the service" not in said and b"in the browser" not in said:
        said += await asyncio.to_thread(os.read, outer, 1000)
    script.end(script.started[0], {"data": {**SOLUTION, "url": "http://site.test/\x1b[31m"}})
    assert await process.wait() == 0
    while b"agent" not in said:
        said += os.read(outer, 10_000)
    os.close(outer)
    assert b"\x1b[31m" not in said
    assert "site.test/\N{REPLACEMENT CHARACTER}[31m" in said.decode()


async def test_a_reader_that_has_had_enough_is_no_error(service: V1, script: Script) -> None:
    process = await asyncio.create_subprocess_exec(
        *program("solve", URL, "--url", service.url, "--html"), stdout=-1, stderr=-1
    )
    await until(lambda: bool(script.running))
    assert process.stdout is not None
    process.stdout._transport.close()  # type: ignore[attr-defined]  # there is no other way
    script.end(script.started[0], {"data": {**SOLUTION, "html": "x" * 1_000_000}})
    assert process.stderr is not None
    assert await process.stderr.read() == b""
    assert await process.wait() == 141


async def test_ctrl_c_cancels_the_task(service: V1, script: Script) -> None:
    # Tests that run in a shell's background inherit that this signal is ignored.
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    run_it = f"{heeding}; from captcha_bypass.cli import main; main()"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", run_it, "solve", URL, "--url", service.url), stdout=-1, stderr=-1
    )
    await until(lambda: bool(script.running))
    process.send_signal(signal.SIGINT)
    assert await process.communicate() == (b"", b"")
    assert process.returncode == 130
    await until(lambda: script.cancelled == script.started)
