"""What one task may take of time and memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping

from captcha_bypass.errors import TaskError


class Bounds:
    """Until when a task may go on, and how large its page may be.

    Args:
        deadline: On the event loop's clock.
        max_html_bytes: UTF-8 bytes of the page's HTML.
    """

    def __init__(self, deadline: float, max_html_bytes: int) -> None:
        self._deadline = deadline
        self._scope: asyncio.Timeout | None = None
        #: Whether the deadline is another than it was at first.
        self.was_moved = False
        self.max_html_bytes = max_html_bytes

    @property
    def deadline(self) -> float:
        """See the class; it may be moved."""
        return self._deadline

    def move(self, deadline: float) -> None:
        """Let the task go on until another moment; what is bounded by it now is told, too."""
        self._deadline = deadline
        self.was_moved = True
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(deadline)

    async def in_time(self, part: Awaitable[None]) -> bool:
        """Whether a part of the task, of which one runs at a time, was done by its deadline."""
        try:
            async with asyncio.timeout_at(self._deadline) as self._scope:
                await part
        except TimeoutError:
            return False
        finally:
            self._scope = None
        return True

    def check_size(self, size: int) -> None:
        """Refuse a page of `size` bytes if that is too many.

        Raises:
            TaskError: `page_too_large`.
        """
        if size > self.max_html_bytes:
            message = (
                f"The page has {size} bytes of HTML; --max-html-bytes is {self.max_html_bytes}."
            )
            raise TaskError("page_too_large", message)

    def check_declared(self, headers: Mapping[str, str]) -> None:
        """Refuse a page whose headers, with names in lower case, say already that it is too large.

        Raises:
            TaskError: `page_too_large`.
        """
        length = headers.get("content-length", "")
        if "content-encoding" not in headers and length.isdigit():
            self.check_size(int(length))
