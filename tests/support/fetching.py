"""Stand-ins for what sends requests through browsers."""

from __future__ import annotations

from captcha_bypass.wire.fetch import Fetched, FetchRequest


class NoFetches:
    """Sends nothing, for tests of other routes."""

    async def fetch(self, request: FetchRequest, owner: str) -> Fetched:
        raise AssertionError("this test fetches nothing")


class FineFetches:
    """Has the same answer for every request."""

    async def fetch(self, request: FetchRequest, owner: str) -> Fetched:
        return Fetched(200, (("X", "y"),), request.url, b"body", None, None, "agent")
