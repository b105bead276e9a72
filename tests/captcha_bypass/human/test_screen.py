"""Pictures of a real page, and a person's mouse and keyboard on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route

from captcha_bypass.browsers.launch.driver import Driver, as_it_is
from captcha_bypass.browsers.launch.installed import find_firefox
from captcha_bypass.browsers.launch.processes import BROWSER_MARK, marked_child
from captcha_bypass.browsers.launch.workspace import Workspace
from captcha_bypass.human import screen as screen_module
from captcha_bypass.human.inputs import Inputs, NotTaken
from captcha_bypass.human.messages import Key, Mouse, Paste, Wheel
from captcha_bypass.human.screen import Frame, PageBusy, PageGone, Screen, size_of
from tests.support.scripted_queue import until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]
PAGE = """<!doctype html><body style="margin: 0; height: 10000px">
<textarea id="field" style="width: 300px; height: 100px"></textarea><h1 id="shown">one</h1>
<script>
  window.seen = [];
  for (const kind of ["mousedown", "mouseup", "click", "keydown"])
    addEventListener(kind, e => seen.push([kind, e.isTrusted, e.key ?? [e.clientX, e.clientY]]));
</script>"""


@dataclass
class Stage:
    """A page, what it shows, and what is done with it."""

    page: Page
    screen: Screen
    inputs: Inputs
    failures: list[NotTaken] = field(default_factory=list)
    resized: list[None] = field(default_factory=list)

    async def picture(self) -> Frame:
        frame = await self.screen.newer(0)
        assert frame is not None
        return frame

    async def asked(self, script: str) -> Any:  # noqa: ANN401 - JSON
        return await self.page.evaluate(script)

    async def until(self, script: str) -> None:
        await self.page.wait_for_function(script, timeout=10_000)

    def click(self, x: float, y: float, clicks: int = 1) -> None:
        self.inputs.put(Mouse(type="mouse", action="down", x=x, y=y, clicks=clicks))
        self.inputs.put(Mouse(type="mouse", action="up", x=x, y=y, clicks=clicks))

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.inputs.put(Key(type="key", action="down", key=key))
            self.inputs.put(Key(type="key", action="up", key=key))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def firefox(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Browser, psutil.Process]]:
    with Workspace(tmp_path_factory.mktemp("human")) as workspace:
        driver = Driver(workspace, as_it_is)
        try:
            playwright = await driver.playwright()
            environment = workspace.environment("human")
            engine = find_firefox(None)
            browser = await engine.launch(playwright, workspace, environment, headless=True)
            yield browser, marked_child(driver.pid, BROWSER_MARK, "human")
        finally:
            await driver.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(firefox: tuple[Browser, psutil.Process]) -> Page:
    context = await firefox[0].new_context(no_viewport=True)
    return await context.new_page()


@pytest_asyncio.fixture(loop_scope="module")
async def stage(page: Page) -> AsyncIterator[Stage]:
    await page.goto("about:blank")
    await page.set_content(PAGE)
    failures: list[NotTaken] = []
    resized: list[None] = []
    screen = Screen(page, lambda: resized.append(None))
    inputs = Inputs(page, screen.use, failures.append)
    yield Stage(page, screen, inputs, failures, resized)
    await screen.close()
    await inputs.close()


async def test_picture_is_of_the_viewport_and_another_comes_only_once_something_has_changed(
    stage: Stage,
) -> None:
    frame = await stage.picture()
    viewport = tuple(await stage.asked("[innerWidth, innerHeight]"))
    assert size_of(frame.jpeg) == (frame.width, frame.height) == viewport
    assert len(frame.jpeg) < 200_000
    assert len(stage.resized) == 1
    following = asyncio.create_task(stage.screen.newer(frame.number))
    await until(lambda: stage.screen.taken >= 3)
    assert not following.done()
    await stage.asked("shown.textContent = 'two'")
    second = await following
    assert second is not None
    assert second.number == frame.number + 1
    assert second.jpeg != frame.jpeg
    assert len(stage.resized) == 1


async def test_mouse_is_a_persons_for_the_page(stage: Stage) -> None:
    stage.click(50, 130)
    await stage.until("seen.length == 3")
    place = [50, 130]
    assert await stage.asked("seen") == [
        [kind, True, place] for kind in ("mousedown", "mouseup", "click")
    ]
    stage.inputs.put(Wheel(type="wheel", x=50, y=130, dx=0, dy=400))
    await stage.until("scrollY > 0")
    assert stage.failures == []


async def test_what_is_typed_and_pasted_stands_in_the_field(stage: Stage) -> None:
    stage.click(50, 50)
    stage.keys(*"Ab !9", "\N{LATIN SMALL LETTER E WITH ACUTE}", "\N{SNOWMAN}", "x", "Backspace")
    stage.keys("Enter")
    text = "pasted\n\N{CJK UNIFIED IDEOGRAPH-6F22}" + "y" * 9000
    stage.inputs.put(Paste(type="paste", text=text))
    typed = "Ab !9\N{LATIN SMALL LETTER E WITH ACUTE}\N{SNOWMAN}\n"
    await stage.until("field.value.length > 9000")
    assert await stage.asked("field.value") == typed + text
    stage.inputs.put(Key(type="key", action="down", key="Control"))
    stage.keys("a")
    stage.inputs.put(Key(type="key", action="up", key="Control"))
    stage.keys("Delete")
    await stage.until("field.value == ''")
    assert all(await stage.asked("seen.map(([kind, trusted]) => trusted)"))
    assert stage.failures == []


async def test_font_that_never_comes_keeps_no_picture_back(stage: Stage) -> None:
    asked, over = asyncio.Event(), asyncio.Event()

    async def font(route: Route) -> None:
        asked.set()
        await over.wait()
        await route.abort()

    await stage.page.route("**/font", font)
    face = "@font-face { font-family: f; src: url(http://site.test/font) }"
    text = f"<style>{face} h1 {{ font-family: f }}</style><h1>text</h1>"
    await stage.page.set_content(text, wait_until="commit")  # it is never loaded
    await asked.wait()
    assert (await stage.picture()).number == 1
    over.set()
    await stage.page.unroute_all(behavior="wait")


async def test_page_that_spins_is_busy_until_it_stops(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen_module, "SHOT_SECONDS", 0.5)
    monkeypatch.setattr(screen_module, "REST_SECONDS", 0.2)
    await stage.asked(
        "setTimeout(() => { const t = Date.now(); while (Date.now() - t < 2500); }, 0)"
    )
    with pytest.raises(PageBusy):
        await stage.screen.newer(0)
    monkeypatch.undo()
    assert (await stage.picture()).number == 1


async def test_dead_browser_gives_no_picture_and_takes_no_input(
    stage: Stage, firefox: tuple[Browser, psutil.Process]
) -> None:
    """It is the last one here: the browser ends with it."""
    frame = await stage.picture()
    following = asyncio.create_task(stage.screen.newer(frame.number))
    firefox[1].kill()
    with pytest.raises(PageGone):
        await gone(stage.screen, following)
    stage.keys("a")
    await until(lambda: bool(stage.failures))
    assert stage.failures[0].code == "page_gone"


async def gone(screen: Screen, following: asyncio.Task[Any]) -> None:
    """Ask for pictures until there are none; that a browser has died may be told a little later."""
    async with asyncio.timeout(10):
        while True:
            try:
                await following
            except PageBusy:
                following = asyncio.create_task(screen.newer(1))
