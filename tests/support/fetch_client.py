"""Asks a running service for requests, as a user of POST /fetch does, and serves what they are for."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp.test_utils import TestServer

from tests.support.fetch_site import FetchSite

Json = dict[str, Any]


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[tuple[FetchSite, str]]:  # noqa: ANN401
    site = FetchSite(**options)
    server = TestServer(site.app)
    async with server:
        yield site, f"http://127.0.0.1:{server.port}"


class FetchClient:
    """Each call is one POST /fetch: the status of the service, and what it says."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str | None = None) -> None:
        self.session = session
        self.url = url
        self._headers = {"Content-Type": "application/json"}
        if key is not None:
            self._headers["X-API-Key"] = key

    async def __call__(self, url: str, **fields: object) -> tuple[int, Json]:
        body = {"url": url, "timeout": 30, **fields}
        async with self._post(body) as response:
            return response.status, await response.json()

    def _post(self, body: Json) -> Any:  # noqa: ANN401 - aiohttp's context manager
        data = io.BytesIO(json.dumps(body).encode())  # aiohttp warns of large bytes
        return self.session.post(f"{self.url}/fetch", data=data, headers=self._headers)

    async def health(self) -> Json:
        async with self.session.get(f"{self.url}/health") as response:
            found: Json = await response.json()
            return found

    async def answered(self, url: str, **fields: object) -> Json:
        status, body = await self(url, **fields)
        assert status == 200, body
        return body

    async def refused(self, url: str, **fields: object) -> tuple[int, str]:
        status, body = await self(url, **fields)
        assert status != 200, body
        return status, body["error"]["code"]


def content(answer: Json) -> bytes:
    return base64.b64decode(answer["body"])
