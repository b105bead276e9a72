"""What a page of the fake Juggler peer answers to the scripts that are called in it, Playwright's and ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from tests.support.fake_juggler_fetch import FetchingPage

Json = dict[str, Any]


class ScriptedPage:
    """One page.

    Args:
        tell: Sends one of its events: the event's name, its parameters.
    """

    def __init__(self, tell: Callable[..., None]) -> None:
        self._tell = tell
        #: Its documentURI.
        self.shown = ""
        #: Once it has `fetch.js`.
        self._fetching: FetchingPage | None = None

    def call(self, args: list[Json]) -> object:
        """Answer what our own selector engine would.

        Args:
            args: Of the call, as Juggler is sent them.
        """
        script = " ".join(str(arg.get("value")) for arg in args)
        if "captchaBypass" in script:
            return self._fetch(script, _plain(args[-1].get("value")))
        if "navigator.userAgent" in script:
            return "Mozilla/5.0 (fake)"
        asked = unquote(json.dumps(args))
        error_page = self.shown if self.shown.startswith("about:neterror") else None
        html = "<p>fake page</p>"
        if '"collect\\' in asked or '"collect"' in asked.replace("\\", ""):
            about = {"errorPage": error_page, "url": self.shown, "length": len(html)}
            text = json.dumps(about) + "\n" + html
        elif '"explain"' in asked.replace("\\", ""):
            size = {"width": 800, "height": 600, "widget": False, "loading": False}
            told = {"texts": [None] * 16, "selectors": [False] * 16, "errorPage": False}
            text = json.dumps(told | size)
        else:
            look = {"text": False, "selector": False, "badSelector": None, "ready": True}
            text = json.dumps(look | {"bytes": 9, "html": html, "errorPage": error_page})
        return _serialized({"success": True, "value": {"result": text}})

    def _fetch(self, script: str, given: Any) -> object:  # noqa: ANN401 - JSON
        if "globalThis.captchaBypass" in script:  # fetch.js itself
            self._fetching = FetchingPage(self._tell, given)
            return {"v": "undefined"}
        assert self._fetching is not None
        name, arguments = given
        found = self._fetching.call(name, *arguments)
        return {"v": "undefined"} if found is None else found


def _serialized(value: object) -> object:
    """Write a value as Playwright's script in the page does."""
    if not isinstance(value, dict):
        return value
    return {"o": [{"k": k, "v": _serialized(v)} for k, v in value.items()], "id": id(value)}


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Read a value that Playwright has written for its script in the page."""
    return [_plain(item) for item in value["a"]] if isinstance(value, dict) else value
