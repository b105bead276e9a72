"""What Camoufox is sent and how its answers are taken, through driver, wrapper, launcher and pool."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from captcha_bypass.browsers.launch.engines import Pace
from captcha_bypass.browsers.launch.preferences import PREFS
from captcha_bypass.browsers.launch.processes import BROWSER_MARK, INSTANCE_MARK
from captcha_bypass.browsers.time_zones import TimeZones
from captcha_bypass.egress.upstream import Upstream
from captcha_bypass.wire.task import Task
from tests.support.juggler import Juggler, running
from tests.support.service import eventually


@pytest.fixture
async def juggler(tmp_path: Path) -> AsyncIterator[Juggler]:
    async with running(tmp_path) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Juggler]:
    """One for tests that change nothing about it, on their module's event loop."""
    async with running(tmp_path_factory.mktemp("shared")) as found:
        yield found


@pytest.mark.asyncio(loop_scope="module")
async def test_browser_is_started_as_its_package_says_and_marked_as_ours(shared: Juggler) -> None:
    result = await shared.solve("ok")
    assert result["data"]["html"] == "<p>fake page</p>"
    started = shared.started()
    assert {"-juggler-pipe", "-headless", "-silent", "-profile"} <= set(started["argv"])
    assert {INSTANCE_MARK, BROWSER_MARK, "CAMOU_CONFIG_1"} <= set(started["env"])
    enable = next(m for m in shared.sent() if m["method"] == "Browser.enable")
    prefs = {pref["name"]: pref["value"] for pref in enable["params"]["userPrefs"]}
    assert {name: prefs[name] for name in PREFS} == PREFS
    assert {name: type(prefs[name]) for name in PREFS} == {n: type(v) for n, v in PREFS.items()}
    assert "network.prefetch-next" not in PREFS


@pytest.mark.asyncio(loop_scope="module")
async def test_contexts_are_plain_and_have_their_proxy_before_their_page(shared: Juggler) -> None:
    await shared.solve("ok")
    methods = shared.methods()
    assert not [
        method
        for method in methods
        if method.endswith(("Viewport", "UserAgentOverride", "LocaleOverride", "ColorScheme"))
        or "Timezone" in method
        or "ReducedMotion" in method
    ]
    contexts = methods.count("Browser.createBrowserContext")
    assert contexts >= 2  # the self-check's own, and the task's
    for index, method in enumerate(methods):
        if method == "Browser.newPage":
            context = shared.sent()[index]["params"]["browserContextId"]
            proxied = [
                message["params"]["browserContextId"]
                for message in shared.sent()[:index]
                if message["method"] == "Browser.setContextProxy"
            ]
            assert context in proxied
    scripts = [
        m["params"]["scripts"] for m in shared.sent() if m["method"] == "Browser.setInitScripts"
    ]
    assert not any(scripts)


async def test_context_has_the_time_zone_of_its_proxy_s_exit(
    juggler: Juggler, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def of(time_zones: TimeZones, proxy: Upstream) -> str:
        return "Asia/Tokyo"

    monkeypatch.setattr(TimeZones, "of", of)
    await juggler.solve("ok", proxy={"server": "http://127.0.0.1:9"})
    zones = [m["params"] for m in juggler.sent() if m["method"] == "Browser.setTimezoneOverride"]
    assert [params["timezoneId"] for params in zones] == ["Asia/Tokyo"]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("port", [25, 6667])
async def test_port_that_browsers_deny_is_refused_before_one_is_asked(
    shared: Juggler, port: int
) -> None:
    result = await shared.worker(
        "task", Task(url=f"http://fake.test:{port}/", no_challenge=True, timeout=3).model_dump()
    )
    assert result["error"]["code"] == "blocked_address"
    assert f":{port}/" not in json.dumps(shared.sent())


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("fail/NS_ERROR_NET_RESET", "connection_reset"),
        ("fail/NS_ERROR_UNKNOWN_HOST", "dns_error"),
        ("fail/NS_ERROR_REDIRECT_LOOP", "redirect_loop"),
        ("fail/SEC_ERROR_UNKNOWN_ISSUER", "tls_error"),
        ("fail/Download%20is%20starting", "not_a_page"),
        ("crash", "browser_crashed"),
    ],
)
async def test_what_goes_wrong_has_its_code(shared: Juggler, path: str, code: str) -> None:
    assert await shared.code(path) == code


@pytest.mark.asyncio(loop_scope="module")
async def test_error_page_under_the_url_that_was_attempted_is_an_error(shared: Juggler) -> None:
    assert await shared.code("error-page", success_text="never", no_challenge=None) == (
        "connection_reset"
    )


async def test_page_that_brings_its_browser_down_is_told_so(juggler: Juggler) -> None:
    assert await juggler.code("exit") == "browser_crashed"
    assert (await juggler.solve("ok"))["data"]["status_code"] == 200


async def test_page_that_does_not_open_has_its_browser_killed(juggler: Juggler) -> None:
    await juggler.solve("ok")
    juggler.silence("Browser.newPage")
    # The first may have the page that was made ready before the silence.
    pending = [asyncio.create_task(juggler.solve("ok", timeout=40)) for _ in range(2)]
    assert await eventually(lambda: bool(juggler.pool.counts().restarts.get("open")), 20)
    juggler.silence()
    assert [(await one)["data"]["status_code"] for one in pending] == [200, 200]


async def test_context_that_does_not_close_has_its_browser_killed(juggler: Juggler) -> None:
    await juggler.solve("ok")
    juggler.silence("Browser.removeBrowserContext")
    await juggler.solve("ok")
    assert await eventually(lambda: bool(juggler.pool.counts().restarts.get("close")), 20)


async def test_cancelled_page_does_not_wait_for_a_browser_that_closes_slowly(
    juggler: Juggler,
) -> None:
    juggler.engine.pace = Pace(open_seconds=30.0, close_seconds=30.0)
    await juggler.solve("ok")
    juggler.silence("Browser.removeBrowserContext")
    opened = juggler.opened()
    task = asyncio.create_task(juggler.solve("ok", timeout=30, success_text="never"))
    assert await eventually(lambda: juggler.opened() > opened, 20)
    task.cancel()
    await asyncio.wait({task}, timeout=10)
    assert task.cancelled()
    assert juggler.pool.counts().restarts == {"close": 1}
