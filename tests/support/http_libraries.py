"""HTTP libraries of users, with our adapters in them, driven alike from an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import requests

from captcha_bypass.client import httpx as ours_httpx
from captcha_bypass.client import httpx2 as ours_httpx2
from captcha_bypass.client.requests import ClearanceAdapter

KINDS = ("requests", "httpx", "httpx async")
#: httpx2 is httpx to our code, so a few tests are enough for it.
ALL_KINDS = (*KINDS, "httpx2", "httpx2 async")
#: As many as a test has at once.
THREADS = 200


class Library:
    """One library, with one session or client.

    Attributes:
        connection_error: What the library raises where it cannot connect.
        read_timeout: What it raises where an answer takes too long.
    """

    def __init__(self, kind: str, client: Any, pool: ThreadPoolExecutor) -> None:  # noqa: ANN401
        self.kind = kind
        self.client = client
        self._pool = pool
        library: Any = {"requests": requests, "httpx": httpx, "httpx2": httpx2}[kind.split()[0]]
        self.connection_error: type[Exception] = (
            requests.ConnectionError if library is requests else library.ConnectError
        )
        self.read_timeout: type[Exception] = library.ReadTimeout

    async def __call__(self, method: str, url: str, **options: Any) -> Any:  # noqa: ANN401
        """Send a request, following redirects, and return the library's response."""
        if self.kind != "requests":
            options.setdefault("follow_redirects", True)
        if "async" in self.kind:
            return await self.client.request(method, url, **options)
        return await self.run(lambda: self.client.request(method, url, **options))

    async def get(self, url: str, **options: Any) -> Any:  # noqa: ANN401
        return await self("GET", url, **options)

    async def run(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401
        """Do some work in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def content(self, data: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return the argument for a body of bytes, or of pieces of them."""
        return {"data" if self.kind == "requests" else "content": data}


@asynccontextmanager
async def using(kind: str, service: str, **options: Any) -> AsyncIterator[Library]:  # noqa: ANN401
    """Use a library with a service; `options` are the adapter's."""
    with ThreadPoolExecutor(THREADS) as pool:
        if kind == "requests":
            with requests.Session() as session:
                session.trust_env = False
                adapter = ClearanceAdapter(service, **options)
                session.mount("http://", adapter)
                session.mount("https://", adapter)
                yield Library(kind, session, pool)
            return
        library, ours = (httpx2, ours_httpx2) if "httpx2" in kind else (httpx, ours_httpx)
        if "async" in kind:
            transport: Any = ours.AsyncClearanceTransport(service, **options)
            async with library.AsyncClient(transport=transport, timeout=30) as client:
                yield Library(kind, client, pool)
            return
        transport = ours.ClearanceTransport(service, **options)
        with library.Client(transport=transport, timeout=30) as sync_client:
            yield Library(kind, sync_client, pool)
