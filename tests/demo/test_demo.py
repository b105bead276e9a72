"""What `make demo` shows holds, and it says so where it does not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from yarl import URL

from demo.challenge_site import SiteOptions, create_site
from demo.demo import main
from demo.fingerprint_site import serving
from demo.programs import DemoError
from demo.prove import prove, prove_fetch
from demo.solve import solve
from tests.support.service import Service

pytestmark = pytest.mark.browser

EASY = SiteOptions(work=0.05)


@pytest.fixture
async def http(service: Service) -> AsyncIterator[aiohttp.ClientSession]:
    """A client without cookies of its own, which leaves no session behind."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session
        await session.delete(f"{service.url}/sessions/demo")


async def test_cookies_make_the_difference(
    http: aiohttp.ClientSession, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    async with TestServer(create_site(EASY)) as site:
        page = site.make_url("/page/1")
        await prove(http, await solve(http, URL(service.url), page))
    shown = capsys.readouterr().out
    assert "without cookies:                 403, not through" in shown
    assert "with the cookies and user-agent: 200, through" in shown


async def test_fingerprint_is_shown_in_three_lines(
    http: aiohttp.ClientSession, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(EASY) as (url, _):
        await prove_fetch(http, URL(service.url), URL(url) / "page" / "1")
    assert capsys.readouterr().out == (
        "\n==> A site that looks at the client's fingerprint: the same cookies and user-agent by\n"
        "    plain Python (aiohttp):          403, not through\n"
        "    POST /fetch, by the browser:     200, through\n"
    )


async def test_site_that_lets_everybody_in_fails_the_demo(
    http: aiohttp.ClientSession, service: Service
) -> None:
    async with TestServer(create_site(EASY)) as site:
        with pytest.raises(DemoError, match="plain Python should have been refused"):
            await prove_fetch(http, URL(service.url), site.make_url("/page/1"))


def test_argument_that_the_demo_does_not_know_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["demo", "--quick"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "unrecognized arguments: --quick" in capsys.readouterr().err
