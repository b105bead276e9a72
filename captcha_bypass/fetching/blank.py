"""A document of a site's origin in which nothing of the site runs, and that nothing of it reaches."""

from __future__ import annotations

from secrets import token_hex

from playwright.async_api import Page, Route

from captcha_bypass.browsers.tab import show_nothing
from captcha_bypass.concurrency import within
from captcha_bypass.fetching.messages import PageSpoilt

#: Without an icon of its own, Firefox would ask the site for one.
_DOCUMENT = '<!doctype html><link rel="icon" href="data:,">'
#: Says that a document is ours; whoever made another does not know what it is this time.
_MARK = "x-document"
#: Service workers leave on the first request; whoever stays has been registered anew meanwhile.
_ATTEMPTS = 3
#: Seconds for the site's workers to be gone; 0.05 s is normal.
_UNREGISTER_SECONDS = 5.0
_UNREGISTER = """async () => {
  for (const worker of await navigator.serviceWorker.getRegistrations()) await worker.unregister();
}"""


async def open_blank(page: Page, origin: str) -> None:
    """Show a blank document of an origin, of which the site does not hear.

    Raises:
        PageSpoilt: a service worker of the site keeps answering in our place.
        playwright.async_api.Error: the page is gone.
    """
    for _ in range(_ATTEMPTS):
        if await _is_ours(page, f"{origin}/"):
            return
        # A worker of the site has made a document of its own, or let the site make it.
        try:
            await within(_UNREGISTER_SECONDS, page.evaluate(_UNREGISTER))
        except TimeoutError:
            break
        await show_nothing(page)
    raise PageSpoilt("a service worker of the site keeps answering", sent=False)


async def _is_ours(page: Page, url: str) -> bool:
    mark = token_hex(16)

    async def fulfill(route: Route) -> None:
        headers = {
            "Content-Type": "text/html",
            # No window that the site has opened can reach this one.
            "Cross-Origin-Opener-Policy": "same-origin",
            _MARK: mark,
        }
        await route.fulfill(body=_DOCUMENT, headers=headers)

    await page.route("**/*", fulfill)
    try:
        answer = await page.goto(url, wait_until="domcontentloaded", timeout=0)
    finally:
        await page.unroute("**/*", fulfill)
    # Where a worker has answered, headers are the worker's, although ours had been asked first.
    return answer is not None and answer.headers.get(_MARK) == mark
