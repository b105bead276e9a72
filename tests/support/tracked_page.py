"""A stand-in for a page whose documents are followed, which is told what happens to it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pyee import EventEmitter

from captcha_bypass.solving.documents import DocumentTracker

URL = "http://site.test/page"


class TrackedPage:
    """What a DocumentTracker needs of a page, and the tracker."""

    def __init__(self) -> None:
        self.url = URL
        self.context = EventEmitter()
        self.main_frame = SimpleNamespace(_impl_obj=SimpleNamespace(_event_emitter=EventEmitter()))
        self._listeners: dict[str, Any] = {}
        stand_in: Any = self
        self.tracker = DocumentTracker(stand_in, lambda url: None)

    def on(self, event: str, listener: object) -> None:
        self._listeners[event] = listener

    def request(self, url: str = URL, failure: str | None = None) -> Any:  # noqa: ANN401
        return SimpleNamespace(
            _impl_obj=object(),
            url=url,
            failure=failure,
            frame=self.main_frame,
            is_navigation_request=lambda: True,
        )

    def respond(self, request: Any, status: int = 200) -> None:  # noqa: ANN401
        response = SimpleNamespace(request=request, url=request.url, status=status, headers={})
        self._listeners["response"](response)

    def fail(self, request: object) -> None:
        self._listeners["requestfailed"](request)

    def show(self, request: Any = None, url: str = URL) -> None:  # noqa: ANN401
        """Show the document that a request has brought; None: that a script has made, or none at all."""
        made = {} if request is None else {"request": SimpleNamespace(_object=request._impl_obj)}
        event = {"url": url, "newDocument": made}
        self.main_frame._impl_obj._event_emitter.emit("navigated", event)
