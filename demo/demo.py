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
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path

import aiohttp
from yarl import URL

from demo.crawl import crawl
from demo.programs import START_TIMEOUT, DemoError, running, say
from demo.prove import prove, prove_fetch
from demo.solve import solve

CHALLENGE_SITE = Path(__file__).with_name("challenge_site.py")
FINGERPRINT_SITE = Path(__file__).with_name("fingerprint_site.py")


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
