"""The demo's proofs: who is let through by the cookies, and who by the browser alone."""

from __future__ import annotations

import base64

import aiohttp
from yarl import URL

from demo.programs import DemoError, say
from demo.solve import SOLVE_TIMEOUT, SUCCESS_TEXT, Clearance, clearance_of, solved


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
    data = await solved(session, service, {**request, "session": "demo"})
    headers = clearance_of(data).headers(with_cookies=True)
    async with session.get(page, headers=headers) as plain:
        _line("plain Python (aiohttp)", plain.status, SUCCESS_TEXT in await plain.text())
    asked = {"url": str(page), "timeout": SOLVE_TIMEOUT, "session": "demo"}
    async with session.post(service / "fetch", json=asked) as answer:
        fetched = await answer.json()
    through = SUCCESS_TEXT.encode() in base64.b64decode(fetched.get("body", ""))
    _line("POST /fetch, by the browser", fetched.get("status"), through)
    if (plain.status, fetched.get("status"), through) != (403, 200, True):
        raise DemoError(f"plain Python should have been refused, and not POST /fetch: {fetched}")
