"""What Camoufox is asked for a fetch, and how its answers are taken; see tests/support/fake_juggler.py."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from captcha_bypass.errors import CaptchaBypassError
from captcha_bypass.fetching.border import PART
from captcha_bypass.fetching.sender import Sender
from captcha_bypass.fetching.sites import Sites
from captcha_bypass.solving.worker import permit_of
from captcha_bypass.tasks.memory import MemoryQueue
from captcha_bypass.wire.fetch import Fetched, FetchRequest
from tests.support.fake_juggler_fetch import LARGE
from tests.support.juggler import Juggler, running
from tests.support.service import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

SITE = "http://fake.test"
#: Methods that no fetch may need, as they show themselves to the page or ask Camoufox for what it is not.
UNWANTED = {"Network.getResponseBody", "Page.addScriptToEvaluateOnNewDocument"}


class Fetching:
    """Everything that a service has for fetches, over the peer."""

    def __init__(self, juggler: Juggler, sites: Sites) -> None:
        self.juggler = juggler
        self.sites = sites
        self._before = len(juggler.sent())

    async def __call__(self, path: str, **more: Any) -> Fetched:  # noqa: ANN401 - fields
        fields = {"url": f"{SITE}{path}", "timeout": 30, **more}
        return await self.sites.fetch(FetchRequest.model_validate(fields), "")

    async def code(self, path: str, **more: Any) -> str:  # noqa: ANN401 - fields
        with pytest.raises(CaptchaBypassError) as caught:
            await self(path, **more)
        return caught.value.code

    def told(self, method: str) -> list[dict[str, Any]]:
        """With what the peer was asked for that since this was made."""
        sent = self.juggler.sent()[self._before :]
        return [m.get("params", {}) for m in sent if m["method"] == method]

    def calls(self, name: str) -> int:
        """How often the page was asked for a function of `fetch.js`."""
        texts = (json.dumps(params["args"]) for params in self.told("Runtime.callFunction"))
        return sum("captchaBypass[name]" in text and f'"a": ["{name}"' in text for text in texts)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def juggler(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Juggler]:
    async with running(tmp_path_factory.mktemp("juggler")) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def fetch(juggler: Juggler, tmp_path: Path) -> AsyncIterator[Fetching]:
    queue = MemoryQueue(max_pending=10, result_ttl=60.0, max_results_bytes=10**6)
    sender = Sender(juggler.sessions, at_once=6, max_bytes=2 * 10**6)
    sites = Sites(
        queue,
        juggler.sessions,
        sender,
        lambda t: permit_of(t, None),
        at_once=6,
        max_per_host=0,
        name=tmp_path.name,  # no test finds the session of another
    )
    await queue.start(juggler.worker, 1)
    try:
        yield Fetching(juggler, sites)
    finally:
        await queue.stop(0)
        await sites.close()
        await sender.close()


async def test_request_goes_out_of_a_frame_of_a_document_that_the_site_has_not_made(
    fetch: Fetching,
) -> None:
    upload = b"\0\xff" * PART
    got = await fetch(
        "/fetch/echo",
        method="PUT",
        headers={"X-One": "1", "Referer": f"{SITE}/from"},
        body_base64=base64.b64encode(upload).decode(),
    )
    assert (got.status, got.user_agent) == (200, "Mozilla/5.0 (fake)")
    assert got.headers == (("Content-Type", "text/x"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))
    echo = json.loads(got.body)
    assert (echo["method"], echo["referrer"]) == ("PUT", f"{SITE}/from")
    assert (echo["redirect"], echo["headers"]) == ("manual", [["X-One", "1"]])
    assert echo["sha256"] == hashlib.sha256(upload).hexdigest()
    assert (fetch.calls("open"), fetch.calls("feed"), fetch.calls("send")) == (1, 2, 1)
    # The document is ours, and requests are held up no longer than it takes to make it.
    (document,) = fetch.told("Network.fulfillInterceptedRequest")
    names = {header["name"].lower() for header in document["headers"]}
    assert {"content-type", "cross-origin-opener-policy", "x-document"} <= names
    holding = [params["enabled"] for params in fetch.told("Network.setRequestInterception")]
    assert holding[-2:] == [True, False]
    assert UNWANTED.isdisjoint(fetch.juggler.methods())


async def test_all_that_crosses_is_text(fetch: Fetching) -> None:
    await fetch("/fetch/echo", method="POST", body="a")
    for params in fetch.told("Runtime.callFunction"):
        for arg in params["args"]:
            assert '"ta":' not in json.dumps(arg)  # how Playwright writes a typed array


async def test_large_body_comes_in_parts(fetch: Fetching) -> None:
    assert (await fetch("/fetch/large")).body == LARGE
    assert fetch.calls("take") == -(-len(LARGE) // PART) - 1


async def test_redirect_is_the_answer(fetch: Fetching) -> None:
    got = await fetch("/fetch/redirect/http:%2F%2F10.1.2.3%2F")
    assert (got.status, got.body) == (302, b"")
    assert ("Location", "http://10.1.2.3/") in got.headers


async def test_options_is_answered_although_playwright_takes_it_for_a_preflight(
    fetch: Fetching,
) -> None:
    assert (await fetch("/fetch/echo", method="OPTIONS")).status == 200


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/fetch/fail/NS_ERROR_NET_RESET", "connection_reset"),
        ("/fetch/fail/NS_ERROR_CONNECTION_REFUSED", "connection_refused"),
        ("/fetch/fail/NS_BINDING_ABORTED", "browser_crashed"),
    ],
)
async def test_what_fails_has_its_code(fetch: Fetching, path: str, code: str) -> None:
    assert await fetch.code(path) == code
    assert (await fetch("/fetch/echo")).status == 200


async def test_request_that_is_too_late_is_dropped_and_its_page_kept(fetch: Fetching) -> None:
    await fetch("/fetch/echo")
    assert await fetch.code("/fetch/hang", timeout=1.5) == "timeout"
    assert await eventually(lambda: fetch.calls("drop") == 1, 5)
    assert (await fetch("/fetch/echo")).status == 200
    # The frame of the one that was dropped is not used again.
    assert fetch.calls("open") == 2
    assert len(fetch.told("Network.fulfillInterceptedRequest")) == 1
