"""Pages of stock Firefox: their windows stay and are used again, and no page is given scripts of Playwright's.

See driver_mends.cjs.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from captcha_bypass.browsers.launch.driver import Driver
from captcha_bypass.browsers.launch.engines import Firefox
from captcha_bypass.browsers.launch.installed import find_firefox
from captcha_bypass.browsers.launch.preferences import FIREFOX_PREFS
from captcha_bypass.browsers.launch.processes import BROWSER_MARK, marked_child
from captcha_bypass.browsers.launch.workspace import Workspace
from captcha_bypass.browsers.tab import open_page
from tests.support.service import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

#: What a page sees of its window.
STATE = "() => [document.visibilityState, innerWidth, innerHeight, outerWidth, outerHeight]"
SHOWN = ["visible", 1366, 768, 1366, 768]
#: What it sees of Playwright.
STRANGE = "() => Object.getOwnPropertyNames(window).filter(name => /pw|playwright/i.test(name))"
_CREATED = re.compile(r'SEND.*"browsingContext\.create".*?"type":"(window|tab)"')
_COLLECTORS = re.compile(r'SEND.*"network\.(add|remove)DataCollector"')


@dataclass
class Running:
    engine: Firefox
    browser: Browser
    #: Its first process.
    root: psutil.Process
    protocol: Path
    #: What Firefox itself has asked for, of which nothing gets an answer.
    own_requests: list[bytes]

    async def page(self) -> Page:
        context = await self.engine.new_context(self.browser, "http://127.0.0.1:1")
        async with asyncio.timeout(30):
            return await context.new_page()

    @property
    def created(self) -> list[str]:
        """Whether windows or tabs were asked for, in order."""
        return _CREATED.findall(self.protocol.read_text())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def firefox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("windows")
    engine = find_firefox(None)
    own_requests: list[bytes] = []

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own_requests.append(await reader.readline())
        writer.close()

    async with await asyncio.start_server(record, "127.0.0.1", 0) as nowhere:
        with pytest.MonkeyPatch.context() as patch, Workspace(folder / "workspace") as workspace:
            patch.setenv("DEBUG", "pw:protocol")
            patch.setenv("DEBUG_FILE", str(folder / "protocol"))
            port = nowhere.sockets[0].getsockname()[1]
            patch.setitem(FIREFOX_PREFS, "network.proxy.ssl_port", port)
            driver = Driver(workspace)
            try:
                playwright = await driver.playwright()
                environment = workspace.environment("windows")
                browser = await engine.launch(playwright, workspace, environment, headless=True)
                root = marked_child(driver.pid, BROWSER_MARK, "windows")
                yield Running(engine, browser, root, folder / "protocol", own_requests)
            finally:
                await driver.close()


async def test_pages_one_after_another_share_a_window_and_are_shown_in_full(
    firefox: Running,
) -> None:
    before = len(firefox.created)
    for _ in range(3):
        page = await firefox.page()
        assert await page.evaluate(STATE) == SHOWN
        await page.context.close()
    assert firefox.created[before:] == ["tab"] * 3, "the window that Firefox started with did"


async def test_pages_at_the_same_time_have_a_window_each_and_none_hides_another(
    firefox: Running,
) -> None:
    before = len(firefox.created)
    pages = await asyncio.gather(*(firefox.page() for _ in range(3)))
    for page in pages:
        assert await page.evaluate(STATE) == SHOWN
    await pages[1].context.close()
    pages[1] = await firefox.page()
    for page in pages:
        assert await page.evaluate(STATE) == SHOWN
    for page in pages:
        await page.context.close()
    assert sorted(firefox.created[before:]) == ["tab"] * 4 + ["window"] * 2


async def test_page_in_the_context_of_another_has_a_window_of_its_own(firefox: Running) -> None:
    first = await firefox.page()
    second = await first.context.new_page()
    assert await first.evaluate(STATE) == await second.evaluate(STATE) == SHOWN
    await first.context.close()


async def test_window_that_a_site_opened_keeps_others_out_of_its_window(firefox: Running) -> None:
    page = await firefox.page()
    async with page.expect_popup() as opened:
        await page.evaluate("() => { open('about:blank') }")
    popup = await opened.value
    # Only the window that the site opened is left, and it does not answer: to show another tab in its
    # place would wait for it.
    await popup.evaluate("() => { setTimeout(() => { for (;;); }) }")
    await page.close()
    other = await firefox.page()
    assert await other.evaluate(STATE) == SHOWN
    await other.context.close()
    await page.context.close()


async def test_no_page_that_is_shown_has_firefox_ask_for_a_list(firefox: Running) -> None:
    assert await eventually(
        lambda: any(b"firefox.settings" in line for line in firefox.own_requests), 20
    ), "as it does when it starts"
    for _ in range(2):  # by now it has all that its start asked for
        firefox.own_requests.clear()
        for number in range(3):
            page = await firefox.page()
            await page.goto(f"data:text/html,<p>{number}")
            await page.context.close()
        await asyncio.sleep(1)
    assert firefox.own_requests == []


async def test_windows_without_a_screen_have_no_toolbars(firefox: Running) -> None:
    words = firefox.root.cmdline()
    profile = Path(words[next(n for n, word in enumerate(words) if "-profile" in word) + 1])
    styles = (profile / "chrome" / "userChrome.css").read_text()
    assert re.search(r"^#navigator-toolbox,[^}]*display: none !important;", styles, re.MULTILINE)


async def test_bodies_of_a_page_are_kept_until_it_is_emptied_or_closed(firefox: Running) -> None:
    before = len(firefox.protocol.read_text())

    def asked() -> list[str]:
        return _COLLECTORS.findall(firefox.protocol.read_text()[before:])

    page = await firefox.page()
    await page.goto("about:blank", wait_until="commit")
    await page.goto("data:text/html,<p>words")
    assert asked() == ["add"]
    await page.goto("about:blank", wait_until="commit")
    assert await eventually(lambda: asked() == ["add", "add", "remove"], 10)
    await page.context.close()
    assert await eventually(lambda: asked() == ["add", "add", "remove", "remove"], 10)


async def test_page_is_given_out_once_its_empty_document_has_loaded(firefox: Running) -> None:
    context = await firefox.engine.new_context(firefox.browser, "http://127.0.0.1:1")
    loaded: list[str] = []

    def watch(page: Page) -> None:
        page.on("load", lambda loading: loaded.append(loading.url))

    context.on("page", watch)
    page = await open_page(context)
    assert loaded[-1:] == ["about:blank"]
    before = len(loaded)
    await page.goto("data:text/html,<p>words")
    assert loaded[before:] == [page.url], (
        "and nothing that comes later is told of as the next one's"
    )
    await context.close()


async def test_pages_open_where_every_content_process_has_died(firefox: Running) -> None:
    for process in firefox.root.children():
        # Some may have ended meanwhile, as those of the pages before do.
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[-1:] == ["tab"]:
                process.kill()
    pages = await asyncio.gather(*(firefox.page() for _ in range(3)))
    for page in pages:
        assert await page.evaluate(STATE) == SHOWN
        await page.context.close()


TYPED = """<!doctype html><input id=i><iframe srcdoc="<input id=i value=ab>"></iframe>"""


async def test_page_sees_nothing_of_playwright_and_is_given_none_of_its_scripts(
    firefox: Running,
) -> None:
    before = len(firefox.protocol.read_text())
    page = await firefox.page()
    await page.set_content(TYPED)
    await page.goto("data:text/html,<p>another document")
    assert await page.evaluate(STRANGE) == []
    given = firefox.protocol.read_text()[before:]
    assert "script.evaluate" in given
    assert "InjectedScript" not in given
    await page.context.close()


async def test_what_is_typed_as_text_arrives_in_the_field_that_has_the_focus(
    firefox: Running,
) -> None:
    page = await firefox.page()
    await page.goto(f"data:text/html,{quote(TYPED)}")
    await page.focus("#i")
    await page.keyboard.insert_text("gr\u00fcn")
    assert await page.input_value("#i") == "gr\u00fcn"
    frame = page.frames[1]
    await frame.evaluate("() => { i.focus(); i.setSelectionRange(1, 1) }")
    await page.keyboard.insert_text("\u00df")
    assert await frame.input_value("#i") == "a\u00dfb"
    assert [await each.evaluate(STRANGE) for each in page.frames] == [[], []]
    await page.context.close()
