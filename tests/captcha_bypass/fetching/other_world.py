"""A page whose `evaluate` runs in a world of its own, as Camoufox's does.

Stock Firefox evaluates in the page's world; but selector engines that are content scripts run in a sandbox
made as Camoufox's protocol makes its own, through which all of the page is seen by Xrays.
"""

from __future__ import annotations

import asyncio
import json
from itertools import count
from typing import Any
from urllib.parse import quote

from playwright.async_api import Page, Playwright

_NAME = "otherworld"
_ENGINE = """(() => {
  const results = (globalThis.results ??= {});
  const answer = ({ id, expression, argument }) => {
    if (expression === undefined) return JSON.stringify(results[id] ?? null);
    const work = async () => {
      const value = new Function(`return (${expression})`)();
      return typeof value === "function" ? value(argument) : value;
    };
    work().then(
      (value) => (results[id] = { value }),
      (error) => (results[id] = { error: String(error) }),
    );
    return "";
  };
  const query = (root, asked) => {
    const element = document.createElement("data");
    element.textContent = answer(JSON.parse(decodeURIComponent(asked)));
    return element;
  };
  return { query, queryAll: (root, asked) => [query(root, asked)] };
})()"""


async def install(playwright: Playwright) -> None:
    """Make `OtherWorld` work in the contexts that are opened from now on."""
    await playwright.selectors.register(_NAME, _ENGINE, content_script=True)


class OtherWorld:
    """Stands in for a Page; all but `evaluate` is the page's own."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._ids = count()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a page has
        return getattr(self._page, name)

    async def evaluate(self, expression: str, argument: object = None) -> object:
        call: dict[str, object] = {"id": next(self._ids)}
        await self._ask({**call, "expression": expression, "argument": argument})
        result = None
        while result is None:
            await asyncio.sleep(0.01)
            result = json.loads(await self._ask(call))
        if "error" in result:
            raise AssertionError(result["error"])
        return result.get("value")

    async def _ask(self, call: dict[str, object]) -> str:
        asked = self._page.locator(f"{_NAME}={quote(json.dumps(call))}")
        return await asked.text_content(timeout=10_000) or ""
