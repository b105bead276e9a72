"""Preferences that browsers start with: of the right type, and what a page can see of them."""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from captcha_bypass.browsers.launch.preferences import FIREFOX_PREFS, PREFS
from tests.support.solve_client import Client
from tests.support.warm_firefox import installed_firefox

#: Lines such as `pref("browser.cache.disk.enable", true);` in Firefox's own files.
_DEFAULT = re.compile(
    r'^(?:sticky_)?pref\("([^"]+)",\s*(.+?)(?:,\s*(?:locked|sticky))?\);', re.MULTILINE
)


def defaults() -> dict[str, object]:
    """The preferences that Firefox ships as files; some are only in its code."""
    installed = installed_firefox()
    assert installed is not None
    folder = installed.parent
    found: dict[str, object] = {}
    for archive in (folder / "omni.ja", folder / "browser" / "omni.ja"):
        with zipfile.ZipFile(archive) as files:
            for name in files.namelist():
                if name.endswith(".js") and ("greprefs" in name or "defaults/pref" in name):
                    text = files.read(name).decode("utf-8", "replace")
                    for pref, value in _DEFAULT.findall(text):
                        try:
                            found[pref] = json.loads(value)
                        except ValueError:
                            found[pref] = value
    return found


def test_each_has_the_type_that_firefox_gives_it() -> None:
    """A wrong one would stop every launch of Camoufox."""
    shipped = defaults()
    known = [name for name in FIREFOX_PREFS if name in shipped]
    assert len(known) > 30
    assert [n for n in known if type(FIREFOX_PREFS[n]) is not type(shipped[n])] == []
    assert {type(value) for value in FIREFOX_PREFS.values()} <= {bool, int, str}


def test_what_pages_can_see_is_left_to_camoufox() -> None:
    assert "network.prefetch-next" not in PREFS
    assert "media.rdd-process.enabled" not in FIREFOX_PREFS
    assert PREFS["dom.security.https_first"] is False


@pytest.fixture
async def loads() -> AsyncIterator[tuple[TestServer, Counter[str]]]:
    """A page that reloads itself twice, each time with one picture that may be cached."""
    counted: Counter[str] = Counter()

    async def page(request: web.Request) -> web.Response:
        counted["page"] += 1
        more = (
            "<script>onload = () => location.reload()</script>"
            if counted["page"] < 3
            else "loaded thrice"
        )
        return web.Response(
            text=f"<p><img src=/dot.svg>{more}<p id=codecs><script>"
            "const v = document.createElement('video');"
            "document.getElementById('codecs').textContent = ['vp09.00.10.08', 'av01.0.04M.08', 'opus']"
            ".map((c) => v.canPlayType(`video/webm; codecs=\"${c}\"`)).join('-')</script>",
            content_type="text/html",
        )

    async def dot(request: web.Request) -> web.Response:
        counted["dot"] += 1
        return web.Response(
            text="<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
            content_type="image/svg+xml",
            headers={"Cache-Control": "max-age=3600"},
        )

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/dot.svg", dot)])
    server = TestServer(app)
    async with server:
        yield server, counted


@pytest.mark.browser
async def test_page_sees_an_ordinary_firefox(
    client: Client, loads: tuple[TestServer, Counter[str]]
) -> None:
    server, counted = loads
    data = await client.solved(
        url=str(server.make_url("/")), success_text="loaded thrice", timeout=20
    )
    assert data["timeout_reached"] is False
    assert counted["page"] == 3
    assert counted["dot"] == 1
    assert ">probably-probably-probably<" in data["html"]
