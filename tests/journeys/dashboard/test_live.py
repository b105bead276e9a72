"""A person sees the page that waits, takes control of it, and acts on it."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.support.dashboard import StandIn
from tests.support.dashboard_data import jpeg, task
from tests.support.dashboard_watcher import Watcher

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WAITING = {"state": "waiting_for_human", "outcome": None, "ended_at": None, "seconds": None}


async def opened(page: Page, service: StandIn) -> Watcher:
    """Open the page of a task that waits, with its first picture."""
    service.add(task(1, **WAITING))
    await page.goto(f"{service.url}#/task/{task(1)['id']}")
    watcher = await service.watcher()
    await watcher.state()
    await watcher.picture(await jpeg(page))
    await watcher.until("ack")
    return watcher


async def controlled(page: Page, service: StandIn) -> tuple[Watcher, Locator]:
    """Open it, and take control; return the picture, too."""
    watcher = await opened(page, service)
    await page.get_by_role("button", name="Take control").click()
    await watcher.until("control")
    await watcher.state(control="you")
    picture = page.get_by_role("application")
    await expect(picture).to_be_focused()
    return watcher, picture


async def test_a_picture_is_drawn_before_the_next_is_asked_for(
    page: Page, service: StandIn
) -> None:
    watcher = await opened(page, service)
    canvas = page.locator("canvas").first
    pixel = "c => [...c.getContext('2d').getImageData(5, 5, 1, 1).data]"
    red, green, blue, _ = await page.locator(".live canvas").evaluate(pixel)
    assert (red > 240, green < 20, blue < 20) == (True, True, True)
    await expect(canvas).to_be_visible()
    assert len(watcher.of("ack")) == 1
    await watcher.picture(await jpeg(page, 320, 200))
    await watcher.until("ack", 2)
    assert await page.locator(".live canvas").evaluate("c => [c.width, c.height]") == [320, 200]
    assert {message["type"] for message in watcher.received} == {"ack"}


async def test_who_only_watches_sends_nothing(page: Page, service: StandIn) -> None:
    watcher = await opened(page, service)
    await watcher.state(control="other", watchers=2)
    await expect(page.get_by_text("Somebody else has control; you watch.")).to_be_visible()
    await expect(page.get_by_text("2 watchers")).to_be_visible()
    picture = page.locator(".live canvas")
    await picture.click(force=True)
    await page.keyboard.type("secret")
    await page.mouse.wheel(0, 100)
    await watcher.picture(await jpeg(page))
    await watcher.until("ack", 2)
    assert {message["type"] for message in watcher.received} == {"ack"}


async def test_mouse_acts_where_it_points_to_in_the_page(page: Page, service: StandIn) -> None:
    watcher, picture = await controlled(page, service)
    await watcher.state(control="you", width=1280, height=720)  # shown at half its size
    await page.get_by_text("Two fingers scroll").wait_for()
    await picture.click(position={"x": 100, "y": 50})
    await watcher.until("mouse", 3)
    up = watcher.of("mouse")[-1]
    assert (up["action"], up["clicks"]) == ("up", 1)
    assert abs(up["x"] - 200) <= 2
    assert abs(up["y"] - 100) <= 2
    watcher.received.clear()
    await picture.dblclick(position={"x": 300, "y": 200})
    await picture.click(position={"x": 20, "y": 20}, button="right")
    await picture.click(position={"x": 20, "y": 20})
    downs = [m for m in await watcher.until("mouse", 9) if m["action"] == "down"]
    assert [m["clicks"] for m in downs] == [1, 2, 1]  # the right button is none of the page's


async def test_a_drag_goes_on_outside_the_picture_but_stays_in_the_page(
    page: Page, service: StandIn
) -> None:
    watcher, picture = await controlled(page, service)
    box = await picture.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 600, box["y"] + 300)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 700, box["y"] - 50, steps=3)
    await page.mouse.up()
    messages = await watcher.until("mouse", 3)
    while messages[-1]["action"] != "up":
        messages = await watcher.until("mouse", len(messages) + 1)
    assert (messages[-1]["x"], messages[-1]["y"]) == (639, 0)


async def test_wheel_scrolls_the_page_and_not_the_dashboard(page: Page, service: StandIn) -> None:
    watcher, picture = await controlled(page, service)
    await picture.hover(position={"x": 320, "y": 180})
    # Which parts of a page take the wheel is known to the browser a frame later.
    await page.evaluate("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
    before = await page.evaluate("scrollY")
    for _ in range(5):
        await page.mouse.wheel(0, 30)
    await watcher.until("wheel")
    while sum(message["dy"] for message in watcher.of("wheel")) < 150:
        await watcher.until("wheel", len(watcher.of("wheel")) + 1)
    assert sum(message["dy"] for message in watcher.of("wheel")) == 150
    assert all(0 <= m["x"] < 640 and 0 <= m["y"] < 360 for m in watcher.of("wheel"))
    assert await page.evaluate("scrollY") == before


async def test_a_moving_mouse_sends_only_so_much(page: Page, service: StandIn) -> None:
    watcher, picture = await controlled(page, service)
    box = await picture.bounding_box()
    assert box is not None
    for step in range(120):
        await page.mouse.move(box["x"] + step, box["y"] + 10)
    await page.mouse.down()
    await page.mouse.up()
    messages = await watcher.until("mouse", 3)
    while messages[-1]["action"] != "up":
        messages = await watcher.until("mouse", len(messages) + 1)
    seconds = 1 + (await page.evaluate("performance.now()")) / 1000
    assert len(messages) < 20 * seconds + 5
    assert abs(messages[-1]["x"] - 119) <= 2


async def test_keys_go_to_the_page(page: Page, service: StandIn) -> None:
    watcher, _ = await controlled(page, service)
    await page.keyboard.type("aB")
    for key in ("Enter", "Tab", "ArrowLeft", "Escape", "Backspace", "Control+a"):
        await page.keyboard.press(key)
    expected = ["a", "B", "Enter", "Tab", "ArrowLeft", "Escape", "Backspace", "Control", "a"]
    messages = await watcher.until("key", 2 * len(expected))
    assert [m["key"] for m in messages if m["action"] == "down"] == expected
    downs, ups = ([m["key"] for m in messages if m["action"] == a] for a in ("down", "up"))
    assert sorted(downs) == sorted(ups)
    await expect(page.get_by_role("application")).to_be_focused()


async def test_shortcuts_of_the_operators_browser_stay_there(page: Page, service: StandIn) -> None:
    watcher, _ = await controlled(page, service)
    await page.evaluate("addEventListener('keydown', e => window.left = !e.defaultPrevented)")
    for key in ("Control+f", "Control+l", "F6", "Alt+d"):
        await page.keyboard.press(key)
        assert await page.evaluate("window.left")
    await page.keyboard.press("x")
    await watcher.until("key", 1)
    keys = {m["key"] for m in watcher.of("key")}
    assert keys <= {"Control", "x"}


async def test_shift_escape_leaves_the_picture(page: Page, service: StandIn) -> None:
    watcher, _ = await controlled(page, service)
    await page.keyboard.press("Shift+Escape")
    await expect(page.get_by_role("button", name="Release control")).to_be_focused()
    messages = await watcher.until("key", 2)
    assert [(m["action"], m["key"]) for m in messages] == [("down", "Shift"), ("up", "Shift")]
    await page.keyboard.press("Enter")
    await watcher.until("release")


async def test_a_key_does_not_stay_down_when_the_picture_is_left(
    page: Page, service: StandIn
) -> None:
    watcher, _ = await controlled(page, service)
    await page.keyboard.down("Shift")
    await page.get_by_label("Text for the page").focus()
    messages = await watcher.until("key", 2)
    assert [(m["action"], m["key"]) for m in messages] == [("down", "Shift"), ("up", "Shift")]
    await page.keyboard.up("Shift")


async def test_text_is_pasted(page: Page, service: StandIn) -> None:
    watcher, picture = await controlled(page, service)
    paste = """(canvas, text) => {
        const clipboardData = new DataTransfer();
        clipboardData.setData("text/plain", text);
        canvas.dispatchEvent(new ClipboardEvent("paste", {clipboardData, cancelable: true}));
    }"""
    await picture.evaluate(paste, "from the clipboard")
    await picture.evaluate(paste, "x" * 20_000)
    await page.get_by_label("Text for the page").fill("from the field")
    await page.get_by_role("button", name="Send text").click()
    await expect(page.get_by_label("Text for the page")).to_have_value("")
    texts = [message["text"] for message in await watcher.until("paste", 3)]
    assert texts == ["from the clipboard", "x" * 10_000, "from the field"]
    for key in ("Enter", "Tab", "Backspace"):
        await page.get_by_role("button", name=key, exact=True).click()
    keys = [m["key"] for m in await watcher.until("key", 6) if m["action"] == "down"]
    assert keys == ["Enter", "Tab", "Backspace"]


async def test_a_finger_taps_and_two_scroll(chromium: Browser, service: StandIn) -> None:
    context = await chromium.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    page = await context.new_page()
    watcher, picture = await controlled(page, service)
    await picture.tap(position={"x": 179, "y": 50})
    messages = await watcher.until("mouse", 3)
    assert [m["action"] for m in messages] == ["move", "down", "up"]
    width = await picture.evaluate("c => c.getBoundingClientRect().width")
    assert abs(messages[-1]["x"] - 179 / width * 640) <= 3
    box = await picture.bounding_box()
    assert box is not None
    touch = await context.new_cdp_session(page)
    for kind, y in (("touchStart", 80), ("touchMove", 40), ("touchMove", 20), ("touchEnd", None)):
        fingers = [{"x": box["x"] + x, "y": box["y"] + y, "id": x} for x in (50, 150)] if y else []
        await touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
    await watcher.until("wheel")
    assert watcher.of("wheel")[0]["dy"] > 0
    await context.close()


async def test_control_of_another_is_asked_for(page: Page, service: StandIn) -> None:
    watcher = await opened(page, service)
    await watcher.state(control="other", watchers=2)
    ask = page.get_by_role("button", name="Ask for control")
    await ask.click()
    await watcher.until("control")
    await expect(page.get_by_text("Asked for control; waiting for the answer.")).to_be_visible()
    await watcher.say(type="refused")
    await expect(page.get_by_text("They keep control.")).to_be_visible()
    await ask.click()
    await watcher.until("control", 2)
    await watcher.state(control="you", watchers=2)
    await expect(page.get_by_text("You have control.")).to_be_visible()


@pytest.mark.parametrize(("button", "answer"), [("Keep it", "keep"), ("Hand it over", "yield")])
async def test_who_has_control_answers(
    page: Page, service: StandIn, button: str, answer: str
) -> None:
    watcher, picture = await controlled(page, service)
    await watcher.say(type="asked", seconds=10)
    await expect(page.get_by_role("alert").filter(has_text="asks for control")).to_be_visible()
    await expect(picture).to_be_focused()  # whoever types must not answer by it
    await page.get_by_role("button", name=button).click()
    await watcher.until(answer)
    await expect(page.get_by_role("button", name=button)).to_have_count(0)


async def test_a_question_that_is_settled_is_gone(page: Page, service: StandIn) -> None:
    watcher, _ = await controlled(page, service)
    await watcher.say(type="asked", seconds=10)
    await expect(page.get_by_role("button", name="Keep it")).to_be_visible()
    await watcher.state(control="other")
    await expect(page.get_by_role("button", name="Keep it")).to_have_count(0)
    await expect(page.get_by_text("Somebody else has control; you watch.")).to_be_visible()


async def test_giving_up_asks_first_and_ends_the_wait(page: Page, service: StandIn) -> None:
    watcher = await opened(page, service)
    await page.get_by_role("button", name="Give up").click()
    await page.get_by_role("button", name="No").click()
    assert watcher.of("leave") == []
    await page.get_by_role("button", name="Give up").click()
    await page.get_by_role("button", name="Give up", exact=True).click()
    await watcher.until("leave")
    await watcher.say(type="ended", outcome="timeout")
    await watcher.socket.close()
    await expect(page.get_by_text("The wait has ended: timeout.")).to_be_visible()
    await expect(page.get_by_role("button", name="Take control")).to_have_count(0)


async def test_a_solved_page_is_told_and_stays_told(page: Page, service: StandIn) -> None:
    watcher, _ = await controlled(page, service)
    await watcher.say(type="ended", outcome="completed")
    await watcher.socket.close()
    await service.change(task(1))
    await expect(page.get_by_role("heading", level=1)).to_contain_text("completed")
    await expect(page.get_by_text("Solved: the task is completed.")).to_be_visible()
    await expect(page.locator(".live canvas")).to_be_hidden()
    assert len(service.watchers) == 1


async def test_a_lost_connection_is_made_again(page: Page, service: StandIn) -> None:
    watcher, _ = await controlled(page, service)
    service.live_away = True  # or it might be made again before anybody has looked
    await watcher.socket.close()
    await expect(page.get_by_text("The connection to the page is lost")).to_be_visible()
    service.live_away = False
    again = await service.watcher(2)
    await again.state()
    await expect(page.get_by_text("Nobody has control.")).to_be_visible()
    await again.picture(await jpeg(page))
    await again.until("ack")


async def test_a_wait_that_ends_while_the_connection_is_lost_is_over(
    page: Page, service: StandIn
) -> None:
    watcher = await opened(page, service)
    service.live_away = True
    await watcher.socket.close()
    await expect(page.get_by_text("The connection to the page is lost")).to_be_visible()
    await service.change(task(1, outcome="timeout"))
    await expect(page.get_by_text("The wait has ended: timeout.")).to_be_visible()
    service.live_away = False
    await service.change(task(1, **WAITING))
    again = await service.watcher(2)
    await again.state()
    await expect(page.get_by_text("Nobody has control.")).to_be_visible()


async def test_an_error_is_told_until_the_next_picture(page: Page, service: StandIn) -> None:
    watcher = await opened(page, service)
    await page.get_by_role("button", name="Take control").click()
    await watcher.say(type="error", code="already_asked", message="Somebody else asks already.")
    await expect(page.get_by_role("alert")).to_have_text("Somebody else asks already.")
    await watcher.picture(await jpeg(page))
    await expect(page.get_by_role("alert").filter(has_text="asks already")).to_have_count(0)
    await expect(page.get_by_role("button", name="Take control")).to_be_enabled()


async def test_leaving_the_view_leaves_no_connection(page: Page, service: StandIn) -> None:
    watcher = await opened(page, service)
    await page.get_by_role("link", name="Overview").click()
    await service.until(lambda: watcher.socket.closed)
    await expect(page.get_by_role("region", name="Now")).to_be_visible()
    assert len(service.watchers) == 1


async def test_a_hidden_tab_asks_for_no_picture(page: Page, service: StandIn) -> None:
    watcher = await opened(page, service)
    seen = """(seen) => {
        Object.defineProperty(document, "hidden", {value: !seen, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    await page.evaluate(seen, False)
    await watcher.picture(await jpeg(page, 100, 100))
    await expect(page.locator(".live canvas")).to_have_attribute("width", "100")
    assert len(watcher.of("ack")) == 1
    await page.evaluate(seen, True)
    await watcher.until("ack", 2)


async def test_whoever_waits_is_told_on_every_view(page: Page, service: StandIn) -> None:
    await page.goto(f"{service.url}#/sessions")
    await expect(page.get_by_role("region", name="Named by tasks")).to_be_visible()
    await service.change(task(1, **WAITING))
    told = page.get_by_role("region", name="Waiting for a person")
    await expect(told.get_by_role("status")).to_have_text("1 task waits for a person")
    tasks = service.status["tasks"] | {"waiting_for_human": 1}
    await service.push("status", service.status | {"tasks": tasks})
    await expect(page).to_have_title("(1) Sessions · captcha-bypass")
    await told.get_by_role("link", name="shop-1.example").click()
    await service.watcher()
    await expect(page.get_by_role("heading", name="The page now")).to_be_visible()
