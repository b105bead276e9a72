"""The client for asyncio; any number of tasks of one event loop may share one."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from captcha_bypass.client.address import Address
from captcha_bypass.client.bodies import FetchOptions, SolveOptions, fetch_body, solve_body
from captcha_bypass.client.connection import AsyncConnection
from captcha_bypass.client.errors import ClientError
from captcha_bypass.client.protocol import Protocol, nobody
from captcha_bypass.client.steps import Steps, run_async
from captcha_bypass.client.tasks import LONG_POLL

if TYPE_CHECKING:
    from collections.abc import Callable

    from captcha_bypass.client.results import FetchResult, Health, SolveResult

T = TypeVar("T")


class AsyncClient:
    """Talks to a running service; `async with`, or `close`, ends its connections.

    All arguments are those of `Client`.

    Raises:
        ServiceError: URL or key cannot be right. Nothing was sent.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        long_poll: float = LONG_POLL,
        on_state: Callable[[str], None] = nobody,
        on_human: Callable[[str], None] = nobody,
    ) -> None:
        self._address = Address.of(url, api_key)
        self._connection = AsyncConnection(self._address)
        self._protocol = Protocol(self._address.shown, long_poll, on_state, on_human)

    @property
    def url(self) -> str:
        """The service's address."""
        return self._address.shown

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections to the service. A call after it opens new ones."""
        await self._connection.close()

    async def solve(
        self,
        url: str,
        *,
        timeout: float = 60.0,
        queue_timeout: float | None = None,
        **options: Unpack[SolveOptions],
    ) -> SolveResult:
        """Have a page opened in a browser, and return it once it is through; see `Client.solve`.

        Where this is cancelled, so is the task.
        """
        body = solve_body(url, timeout, options)
        return await self._run(
            self._protocol.solve(body, timeout if queue_timeout is None else queue_timeout)
        )

    async def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        content: bytes | str | None = None,
        timeout: float = 60.0,
        **options: Unpack[FetchOptions],
    ) -> FetchResult:
        """Have the browser send a request, and return the site's answer; see `Client.fetch`.

        Where this is cancelled, the request is aborted at the site.
        """
        return await self._run(
            self._protocol.fetch(fetch_body(url, method, content, timeout, options))
        )

    def session(self, name: str | None = None) -> AsyncSession:
        """Return a session: cookies and logins stay from one call to the next.

        Args:
            name: None: one that nobody else has.
        """
        return AsyncSession(self, name or secrets.token_hex(8))

    async def health(self) -> Health:
        """Return whether the service can run tasks; see `Client.health`."""
        return await self._run(self._protocol.health())

    async def check(self) -> None:
        """See whether URL and key are right; see `Client.check`."""
        await self._run(self._protocol.check())

    async def end_session(self, name: str) -> bool:
        """End a session of that name; returns whether there was one."""
        return await self._run(self._protocol.end_session(name))

    async def refused(self, result: SolveResult) -> bool:
        """Tell that a site does not take a result's cookies any more; see `Client.refused`."""
        shared = result.clearance
        return shared is not None and await self._run(self._protocol.refuse(shared.id))

    async def _run(self, steps: Steps[T]) -> T:
        return await run_async(steps, self._connection.do)


class AsyncSession:
    """A session of the service's. Used as `async with client.session() as session`."""

    def __init__(self, client: AsyncClient, name: str) -> None:
        self._client = client
        self.name = name

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: object, _: object) -> None:
        with suppress(*([] if error is None else [ClientError])):  # which would hide the other one
            await self.close()

    async def close(self) -> None:
        """End the session, with all cookies and logins in it.

        Raises:
            ServiceError: the service cannot be used.
        """
        await self._client.end_session(self.name)

    async def solve(self, url: str, **arguments: Any) -> SolveResult:  # noqa: ANN401 - of AsyncClient.solve
        """Have a page opened in this session; see `Client.solve`."""
        return await self._client.solve(url, **{**arguments, "session": self.name})

    async def fetch(self, url: str, **arguments: Any) -> FetchResult:  # noqa: ANN401 - of AsyncClient.fetch
        """Have a request sent in this session; see `Client.fetch`."""
        return await self._client.fetch(url, **{**arguments, "session": self.name})
