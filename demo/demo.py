"""One challenged page from end to end: `make demo`.

Starts the challenge site and the service, has a page solved with `POST /solve`, then fetches the
page again with plain Python: refused without the cookies, let through with them and the browser's
user-agent. Then the same at a site whose clearances fit no other client than the one that got them,
where `POST /fetch` is let through. At last a Scrapy spider crawls 200 challenged pages, which takes
one solve. Whatever was started is stopped again. Exit code 0 means that all of it held.

With --human it is another page: one whose challenge only a person passes, who opens the link that is
printed, and clicks the red dot.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import signal
import sys
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from demo.crawl import crawl
from demo.programs import START_TIMEOUT, DemoError, running, say

CHALLENGE_SITE = Path(__file__).with_name("challenge_site.py")
FINGERPRINT_SITE = Path(__file__).with_name("fingerprint_site.py")
SUCCESS_TEXT = "Welcome, you are through"
SOLVE_TIMEOUT = 60.0
#: Seconds that a person may take: the service's --human-timeout.
HUMAN_TIMEOUT = 600.0


@dataclass(frozen=True)
class Clearance:
    """What the service hands back for a solved page: all that a plain client needs."""

    url: URL
    user_agent: str
    cookies: tuple[tuple[str, str], ...]

    def headers(self, *, with_cookies: bool) -> dict[str, str]:
        """Return the headers of a plain request, as the browser would identify itself."""
        headers = {"User-Agent": self.user_agent}
        if with_cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies)
        return headers


async def solve(
    session: aiohttp.ClientSession, service: URL, page: URL, *, human: bool = False
) -> Clearance:
    """Have the service open the page and wait until it is through; shows the result.

    Args:
        human: Whether a person is waited for where the challenge needs one.
    """
    request = {"url": str(page), "success_text": SUCCESS_TEXT, "timeout": SOLVE_TIMEOUT}
    if human:
        request["on_challenge"] = "wait"
    say(f"\n==> POST /solve {json.dumps(request)}")
    started = time.monotonic()
    data = await _solved(session, service, request)
    _show(data, time.monotonic() - started)
    return _clearance(data)


async def _solved(
    session: aiohttp.ClientSession, service: URL, request: dict[str, Any]
) -> dict[str, Any]:
    async with session.post(service / "solve", json=request) as answer:
        if answer.status != 202:
            raise DemoError(f"POST /solve was answered {answer.status}: {await answer.text()}")
        task_id = (await answer.json())["task_id"]
    data = await _result(session, service / "result" / task_id)
    if data["timeout_reached"] or data["status_code"] != 200 or SUCCESS_TEXT not in data["html"]:
        raise DemoError("the page that came back is not the one behind the challenge")
    return data


def _clearance(data: dict[str, Any]) -> Clearance:
    cookies = tuple((cookie["name"], cookie["value"]) for cookie in data["cookies"])
    return Clearance(URL(data["url"]), data["user_agent"], cookies)


async def _result(session: aiohttp.ClientSession, url: URL) -> dict[str, Any]:
    deadline = time.monotonic() + SOLVE_TIMEOUT + 30
    told = False
    while time.monotonic() < deadline:
        async with session.get(url, params={"wait": "2"}) as answer:
            body: dict[str, Any] = await answer.json()
        if body["status"] == "waiting_for_human":
            if not told:
                say(
                    f"\n    A person is needed. Open this page, and click the red dot:\n\n    {body['link']}\n"
                )
                told, deadline = True, deadline + HUMAN_TIMEOUT
            continue
        if body["status"] == "completed":
            data: dict[str, Any] = body["data"]
            return data
        if body["status"] not in ("pending", "running"):
            raise DemoError(f"the task ended as {body['status']}: {body['error']}")
    raise DemoError("the task did not end in time")


def _show(data: dict[str, Any], seconds: float) -> None:
    say(f"    status      {data['status_code']}, timeout reached: {data['timeout_reached']}")
    say(f"    page        {data['url']}, {len(data['html'])} characters")
    say(f"    cookies     {', '.join(cookie['name'] for cookie in data['cookies']) or 'none'}")
    say(f"    user-agent  {data['user_agent']}")
    say(f"    time        {seconds:.1f} s")


async def prove(
    session: aiohttp.ClientSession, clearance: Clearance, *, refused: int = 403
) -> None:
    """Fetch the page twice without a browser: only the cookies may make the difference.

    Args:
        refused: The site's status without them.
    """
    say("\n==> The same page with plain Python (aiohttp)")
    for with_cookies, expected in ((False, refused), (True, 200)):
        headers = clearance.headers(with_cookies=with_cookies)
        async with session.get(clearance.url, headers=headers) as answer:
            through = SUCCESS_TEXT in await answer.text()
        label = "with the cookies and user-agent" if with_cookies else "without cookies"
        _line(label, answer.status, through)
        if (answer.status, through) != (expected, with_cookies):
            raise DemoError(f"{label} the page should have been answered {expected}")


def _line(label: str, status: object, through: bool) -> None:
    say(f"    {label + ':':33}{status}, {'through' if through else 'not through'}")


async def prove_fetch(session: aiohttp.ClientSession, service: URL, page: URL) -> None:
    """Solve a page of the fingerprint site; then only the browser itself may get it."""
    say("\n==> A site that looks at the client's fingerprint: the same cookies and user-agent by")
    request = {"url": str(page), "success_text": SUCCESS_TEXT, "timeout": SOLVE_TIMEOUT}
    data = await _solved(session, service, {**request, "session": "demo"})
    headers = _clearance(data).headers(with_cookies=True)
    async with session.get(page, headers=headers) as plain:
        _line("plain Python (aiohttp)", plain.status, SUCCESS_TEXT in await plain.text())
    asked = {"url": str(page), "timeout": SOLVE_TIMEOUT, "session": "demo"}
    async with session.post(service / "fetch", json=asked) as answer:
        fetched = await answer.json()
    through = SUCCESS_TEXT.encode() in base64.b64decode(fetched.get("body", ""))
    _line("POST /fetch, by the browser", fetched.get("status"), through)
    if (plain.status, fetched.get("status"), through) != (403, 200, True):
        raise DemoError(f"plain Python should have been refused, and not POST /fetch: {fetched}")


async def demo(browser: str) -> None:
    """All steps in order; `browser` is the service's setting of that name."""
    service_arguments = ("-m", "captcha_bypass", "--host", "127.0.0.1", "--port", "0")
    async with (
        running("challenge site", str(CHALLENGE_SITE), "--port", "0") as site,
        running("fingerprint site", str(FINGERPRINT_SITE), "--port", "0") as other_site,
        running("service", *service_arguments, "--browser", browser) as service,
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=60), cookie_jar=aiohttp.DummyCookieJar()
        ) as session,
    ):
        await until_ready(session, service)
        clearance = await solve(session, service, site / "page" / "1")
        await prove(session, clearance)
        await prove_fetch(session, service, other_site / "page" / "1")
        await crawl(service, site)


async def human_demo(browser: str) -> None:
    """The steps of --human; see `demo`."""
    service_arguments = ("-m", "captcha_bypass", "--host", "127.0.0.1", "--port", "0")
    async with (
        running("challenge site", str(CHALLENGE_SITE), "--port", "0") as site,
        running("service", *service_arguments, "--browser", browser) as service,
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=60), cookie_jar=aiohttp.DummyCookieJar()
        ) as session,
    ):
        await until_ready(session, service)
        clearance = await solve(session, service, site / "human" / "1", human=True)
        await prove(session, clearance, refused=405)


async def until_ready(session: aiohttp.ClientSession, service: URL) -> None:
    """Wait for the first browser: the service answers before there is one."""
    say("\n==> GET /health until it is ready")
    try:
        async with asyncio.timeout(START_TIMEOUT):
            while True:
                async with session.get(service / "health") as response:
                    health = await response.json()
                if health["status"] != "starting":
                    break
                await asyncio.sleep(0.5)
    except TimeoutError:
        raise DemoError(f"no browser was ready within {START_TIMEOUT:.0f} s") from None
    except aiohttp.ClientError as error:
        raise DemoError(f"the service ended before it was ready: {error}") from None
    if health["status"] != "ok":
        raise DemoError(f"the service has no browser: {health['reason']}")
    say(f"    {health['browser']}")


async def _until_signal(steps: Coroutine[None, None, None]) -> None:
    """Run a demo; the first Ctrl+C or SIGTERM ends it in order, more of them change nothing."""
    task = asyncio.create_task(steps)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, _cancel_once, task)
    await task


def _cancel_once(task: asyncio.Task[None]) -> None:
    if not task.cancelling():
        task.cancel()


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser("make demo", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--browser", choices=("auto", "camoufox", "firefox"), default="auto")
    parser.add_argument(
        "--human", action="store_true", help="one challenge that you pass, on the dashboard"
    )
    arguments = parser.parse_args()
    steps = human_demo if arguments.human else demo
    try:
        asyncio.run(_until_signal(steps(arguments.browser)))
    except asyncio.CancelledError:
        say("\ndemo: interrupted")
        return 130
    except DemoError as error:
        say(f"\ndemo failed: {error}")
        return 1
    except (aiohttp.ClientError, OSError, KeyError, ValueError) as error:
        say(f"\ndemo failed: {type(error).__name__}: {error}")
        return 1
    say("\ndemo: all of it held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
