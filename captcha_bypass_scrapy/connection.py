"""The HTTP session to the service."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp

from captcha_bypass_scrapy.answers import json_object
from captcha_bypass_scrapy.settings import without_login

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: Seconds to connect.
CONNECT_SECONDS = 5.0


class Connection:
    """One HTTP session, without cookies and without a proxy of the environment's; `close` ends it.

    Args:
        url: Where the service is.
        read_seconds: How long an answer may be silent, where a call says nothing else.

    Attributes:
        shown: The URL as it may be logged.
    """

    def __init__(self, url: str, api_key: str | None, *, read_seconds: float) -> None:
        self._url = url
        self.shown = without_login(url)
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._read_seconds = read_seconds
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        **arguments: Any,  # noqa: ANN401 - aiohttp's own arguments
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask the service, and yield its answer."""
        if self._session is None:
            # Made here because there is no running loop when Scrapy builds its components.
            self._session = aiohttp.ClientSession(
                # Scrapy bounds how many requests there are at once.
                connector=aiohttp.TCPConnector(limit=0),
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=CONNECT_SECONDS, sock_read=self._read_seconds
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        async with self._session.request(
            method, self._url + path, allow_redirects=False, **arguments
        ) as response:
            yield response

    async def call(
        self,
        method: str,
        path: str,
        **arguments: Any,  # noqa: ANN401 - aiohttp's own arguments
    ) -> tuple[int, dict[str, Any], Any]:
        """Ask the service; returns status, JSON object and headers."""
        async with self.request(method, path, **arguments) as response:
            text = await response.text(errors="replace")
            return response.status, json_object(text), response.headers
