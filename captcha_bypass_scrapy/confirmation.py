"""Whether a browser got through: in the service's eyes, and in those of the user's own detector.

The service knows the challenges of vendors. Where only a detector of the user's knows a challenge
and no success text is given, the service hands the challenge back as a page without one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from captcha_bypass_scrapy.answers import evidence_of, unsolved
from captcha_bypass_scrapy.errors import Evidence, SolveError
from captcha_bypass_scrapy.responses import response_from

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scrapy import Request

    from captcha_bypass.challenges import Challenge
    from captcha_bypass_scrapy.answers import Solution
    from captcha_bypass_scrapy.detection import Detector
    from captcha_bypass_scrapy.options import Options

#: Seconds that a browser is first left with a page; then twice as long, and so on.
FIRST_SECONDS = 2.0
#: Shows nowhere, so that the page is handed over as it is when its time is up.
NEVER = ":not(*)"


def checked(solution: Solution, timeout: float) -> Solution:
    """Return the solution if the browser got through.

    Raises:
        SolveError: the browser did not get through.
    """
    if not (solution["timeout_reached"] or solution["challenge"]):
        return solution
    why = f"the page is still a {solution['challenge']} challenge"
    if solution["timeout_reached"]:
        shown = f"; it still shows a {solution['challenge']} challenge"
        why = f"the browser did not get through in {timeout:g} s" + (
            shown if solution["challenge"] else f"; it shows {solution['url']}"
        )
    raise unsolved(why, evidence_of(solution))


def waiting_task(task: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Return the task that leaves a browser with the same page for so long, and calls nobody."""
    return {
        **task,
        "timeout": seconds,
        "success_selector": NEVER,
        "on_challenge": "report",
    }


async def until_confirmed(
    task: dict[str, Any],
    solution: Solution,
    request: Request,
    options: Options,
    detect: Detector,
    solve: Callable[[dict[str, Any]], Awaitable[Solution]],
) -> Solution:
    """Return a solution whose page is no challenge to the user's detector.

    Args:
        task: What `solution` came of.
        solution: It is returned as it is where it will do, and where the user has said what the
            page must show.
        solve: Asks the service; what it returns may have reached its timeout.

    Raises:
        SolveError: the time is up.
    """
    if not detect.own or options.success_text or options.success_selector:
        return solution
    left, seconds = options.timeout_seconds, FIRST_SECONDS
    while (challenge := _opinion(solution, request, detect)) is not None:
        if left <= 0:
            raise SolveError(
                f"the browser's page is still a {challenge.vendor} challenge to your detector after"
                f" {options.timeout_seconds:g} s; CAPTCHA_BYPASS_SUCCESS_TEXT says sooner when it"
                " is through",
                evidence=Evidence(screenshot=evidence_of(solution).screenshot),
            )
        seconds = min(seconds, left)
        # What the page has got so far is there again, so a clearance that came late counts.
        again = {**task, "cookies": solution["cookies"]} if solution["cookies"] else task
        solution = await solve(waiting_task(again, seconds))
        left -= seconds
        seconds *= 2
    return solution


def _opinion(solution: Solution, request: Request, detect: Detector) -> Challenge | None:
    try:
        found = detect(response_from(solution, request))
    except SolveError:
        return None  # not a page that could be a challenge
    return found if found is not None and found.solvable else None
