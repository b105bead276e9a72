"""Questions to a page's document, asked from a world of our own and answered by a string.

A page can replace every function that a script in its own world calls, `eval` and `JSON` too, and
then answers what it likes: objects nested so deep that reading them ends Playwright's link, strings
of many megabytes. Playwright runs a selector engine registered as a content script in a JavaScript
environment that shares the page's DOM and none of its objects. So ours is an engine that matches an
element of its own, which is never part of the document; its text is the answer.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args
from urllib.parse import quote

from playwright.async_api import Frame, Playwright

#: The engine's name in selectors.
_NAME = "captchabypass"
#: The questions; each has a file of that name.
Question = Literal["probe", "explain", "collect", "fonts"]
_ENGINE = """(() => {
  const page = %s;
  const answers = { %s };
  const query = (root, asked) => {
    const { question, argument } = JSON.parse(decodeURIComponent(asked));
    const answer = document.createElement("data");
    answer.textContent = answers[question](argument, page);
    return answer;
  };
  return { query, queryAll: (root, asked) => [query(root, asked)] };
})()"""


@cache
def _engine() -> str:
    folder = files("captcha_bypass.solving")

    def source(name: str) -> str:
        return (folder / f"{name}.js").read_text(encoding="utf-8").strip()

    answers = ",\n".join(f"{question}: {source(question)}" for question in get_args(Question))
    return _ENGINE % (source("text"), answers)


async def install(playwright: Playwright) -> None:
    """Make `ask` work in the contexts that this Playwright opens from now on."""
    await playwright.selectors.register(_NAME, _engine(), content_script=True)


async def ask(frame: Frame, question: Question, argument: dict[str, Any]) -> str:
    """Return the answer of `probe.js`, `explain.js`, `collect.js` or `fonts.js` in a frame's document.

    It takes as long as the frame's scripts keep the frame busy; while the frame navigates, the next
    document is asked.

    Raises:
        playwright.async_api.Error: the frame or its page is gone.
    """
    # The scripts cut what they return: the answer's length is bounded by their argument.
    asked = quote(json.dumps({"question": question, "argument": argument}))
    return await frame.locator(f"{_NAME}={asked}").text_content(timeout=0) or ""
