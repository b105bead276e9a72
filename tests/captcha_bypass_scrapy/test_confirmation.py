"""Solves that go on until the user's own detector is content."""

from __future__ import annotations

from typing import Any, cast

import pytest
from scrapy import Request
from scrapy.http import Response

from captcha_bypass.challenges import Challenge
from captcha_bypass_scrapy.answers import MAX_HINTS, Solution
from captcha_bypass_scrapy.confirmation import (
    NEVER,
    checked,
    until_confirmed,
    waiting_task,
)
from captcha_bypass_scrapy.detection import Detector
from captcha_bypass_scrapy.errors import Evidence, SolveError
from captcha_bypass_scrapy.options import Options
from tests.captcha_bypass_scrapy.fake_service import page_of

URL = "http://site.example/"
REQUEST = Request(URL)
TASK: dict[str, Any] = {"url": URL, "timeout": 60.0, "no_challenge": True}
CLOSED = "<p>prove you are human</p>"
OPEN = "<p>welcome</p>"


def homemade(response: Response) -> object:
    """Knows a challenge that no vendor has."""
    if b"prove you are human" in response.body:
        return "homemade"
    return Challenge("homemade", "block") if b"go away" in response.body else None


def solution(html: str, **changes: object) -> Solution:
    return cast("Solution", page_of(TASK, html=html, **changes))


class Service:
    """Hands over the pages it was given, the last for ever; knows the tasks it was asked for."""

    def __init__(self, *pages: Solution) -> None:
        self._pages = list(pages)
        self.tasks: list[dict[str, Any]] = []

    async def __call__(self, task: dict[str, Any]) -> Solution:
        self.tasks.append(task)
        return self._pages.pop(0) if len(self._pages) > 1 else self._pages[0]


async def confirmed(
    first: Solution,
    *later: Solution,
    detector: Any = homemade,  # noqa: ANN401 - a callable or None
    timeout: float = 60.0,
    **options: Any,  # noqa: ANN401 - of the request
) -> tuple[Solution, list[dict[str, Any]]]:
    """Return what came of a first page, and the tasks it took."""
    service = Service(*later)
    given = Options("auto", timeout, options.get("text"), options.get("selector"))
    found = await until_confirmed(TASK, first, REQUEST, given, Detector(detector, None), service)
    return found, service.tasks


async def test_page_that_the_detector_knows_nothing_against_will_do() -> None:
    first = solution(OPEN)

    assert await confirmed(first) == (first, [])


async def test_browser_is_left_with_the_page_for_twice_as_long_each_time() -> None:
    closed, last = solution(CLOSED), solution(OPEN)

    found, tasks = await confirmed(closed, closed, closed, last)

    assert found is last
    assert [task["timeout"] for task in tasks] == [2.0, 4.0, 8.0]
    assert all(task == waiting_task(TASK, task["timeout"]) for task in tasks)
    assert all(task["success_selector"] == NEVER for task in tasks)


async def test_page_that_has_reached_its_timeout_is_looked_at_as_any() -> None:
    """Nothing ever fulfils the selector, so all of them have."""
    last = solution(OPEN, timeout_reached=True)

    assert (await confirmed(solution(CLOSED), last))[0] is last


async def test_what_the_page_has_got_so_far_is_there_again() -> None:
    cookies = [{"name": "seen", "value": "1", "domain": "site.example"}]
    half = solution(CLOSED, cookies=cookies)

    _, tasks = await confirmed(solution(CLOSED), half, solution(OPEN))

    assert "cookies" not in tasks[0]
    assert tasks[1]["cookies"] == cookies
    assert "cookies" not in TASK


@pytest.mark.parametrize(
    ("timeout", "times"), [(60.0, [2, 4, 8, 16, 30]), (5.0, [2, 3]), (1.5, [1.5]), (2.0, [2])]
)
async def test_time_of_all_tasks_together_is_the_timeout(
    timeout: float, times: list[float]
) -> None:
    closed, service = solution(CLOSED), Service(solution(CLOSED))
    options = Options("auto", timeout, None, None)

    with pytest.raises(SolveError, match=f"still a homemade challenge to your .* {timeout:g} s"):
        await until_confirmed(TASK, closed, REQUEST, options, Detector(homemade, None), service)

    assert [task["timeout"] for task in service.tasks] == times


async def test_success_text_or_selector_is_believed_without_asking_the_detector() -> None:
    closed = solution(CLOSED)

    assert await confirmed(closed, text="welcome") == (closed, [])
    assert await confirmed(closed, selector="#shop") == (closed, [])


async def test_without_a_detector_the_service_is_believed() -> None:
    closed = solution(CLOSED)

    assert await confirmed(closed, detector=None) == (closed, [])


@pytest.mark.parametrize(
    "found",
    [
        solution("<p>go away</p>"),
        cast("Solution", {**solution(CLOSED), "file": True}),
        solution("<img>", headers={"content-type": "image/png"}),
    ],
    ids=["refusal", "file", "image"],
)
async def test_what_is_no_page_that_could_be_a_challenge_will_do(found: Solution) -> None:
    """More time in a browser changes none of them."""
    assert await confirmed(found) == (found, [])


async def test_error_of_the_service_ends_it() -> None:
    async def broken(task: dict[str, Any]) -> Solution:
        raise SolveError("dns_error: no", "unsolved")

    options = Options("auto", 60.0, None, None)
    with pytest.raises(SolveError, match="dns_error"):
        await until_confirmed(
            TASK, solution(CLOSED), REQUEST, options, Detector(homemade, None), broken
        )


# Whether it is a solution


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"timeout_reached": True}, "did not get through in 7.5 s; it shows http://site.example/"),
        (
            {"timeout_reached": True, "challenge": "cloudflare"},
            "did not get through in 7.5 s; it still shows a cloudflare challenge",
        ),
        ({"challenge": "datadome"}, "the page is still a datadome challenge"),
    ],
)
def test_page_that_is_not_through_says_what_it_is(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(SolveError) as raised:
        checked(solution("", **changes), 7.5)

    assert str(raised.value).endswith(told)
    assert raised.value.kind == "unsolved"


def test_page_that_is_not_through_says_why_as_far_as_the_service_knows() -> None:
    hints = [{"code": f"h{n}", "message": f"Hint {n}."} for n in range(MAX_HINTS + 1)]
    changes = {"timeout_reached": True, "unmet": ["success_text"], "hints": hints}
    with pytest.raises(SolveError) as raised:
        checked(solution("", **changes, screenshot="cG5n"), 7.5)

    assert str(raised.value).endswith("http://site.example/. Hint 0. Hint 1")
    assert raised.value.evidence == Evidence(("success_text",), tuple(hints), b"png")


@pytest.mark.parametrize("changes", [{}, {"screenshot": None}, {"screenshot": "no base64"}])
def test_service_that_says_no_more_leaves_no_evidence(changes: dict[str, Any]) -> None:
    with pytest.raises(SolveError) as raised:
        checked(solution("", timeout_reached=True, **changes), 7.5)

    assert raised.value.evidence == Evidence()


def test_page_that_is_through_is_the_solution() -> None:
    found = solution("<p>welcome")

    assert checked(found, 60) is found
