"""What one task may take of time and memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from captcha_bypass.errors import TaskError


@dataclass(frozen=True)
class Bounds:
    """Until when a task may go on, and how large its page may be."""

    #: On the event loop's clock.
    deadline: float
    #: UTF-8 bytes of the page's HTML.
    max_html_bytes: int

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
