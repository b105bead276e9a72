"""The client for programs without an event loop; any number of threads may share one."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from captcha_bypass.client.address import Address
from captcha_bypass.client.bodies import FetchOptions, SolveOptions, fetch_body, solve_body
from captcha_bypass.client.connection import Connection
from captcha_bypass.client.errors import ClientError
from captcha_bypass.client.protocol import Protocol, nobody
from captcha_bypass.client.steps import Steps, run
from captcha_bypass.client.tasks import LONG_POLL

if TYPE_CHECKING:
    from collections.abc import Callable

    from captcha_bypass.client.results import FetchResult, Health, SolveResult

T = TypeVar("T")


class Client:
    """Talks to a running service. Nothing stays open between two calls, and no thread is started.

    Args:
        url: Where it is; None: as the environment says (CAPTCHA_BYPASS_URL), else on this machine.
        api_key: None: as the environment says (CAPTCHA_BYPASS_API_KEY), else none is sent.
        long_poll: Seconds of one question for a result, at most 30.
        on_state: Told where a task stands, with each answer; see `protocol.Protocol`.
        on_human: Told, once for each task, the link to a page that waits for a person.

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
        self._connection = Connection(self._address)
        self._protocol = Protocol(self._address.shown, long_poll, on_state, on_human)

    @property
    def url(self) -> str:
        """The service's address."""
        return self._address.shown

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: there is nothing to close. For those who close what they open."""

    def solve(
        self,
        url: str,
        *,
        timeout: float = 60.0,
        queue_timeout: float | None = None,
        **options: Unpack[SolveOptions],
    ) -> SolveResult:
        """Have a page opened in a browser, and return it once it is through.

        Args:
            timeout: Seconds the browser gets; the time that a person is waited for is added.
            queue_timeout: Seconds to wait for a browser before that, for a place in a full queue too;
                None: as many.
            options: Without a condition among them the page is through when it is no challenge.

        Raises:
            NotSolved: it did not get through; the error's `result` has the page as it is.
            TaskFailed: there is no page.
            RequestRefused: the service takes no such task, or none now.
            ServiceError: it cannot be used; nothing was sent to a site.
        """
        body = solve_body(url, timeout, options)
        return self._run(
            self._protocol.solve(body, timeout if queue_timeout is None else queue_timeout)
        )

    def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        content: bytes | str | None = None,
        timeout: float = 60.0,
        **options: Unpack[FetchOptions],
    ) -> FetchResult:
        """Have the browser send a request that has the site's clearance, and return the site's answer.

        Args:
            content: The body; text is sent as UTF-8.
            timeout: Seconds to the last byte, a solve and waiting for a place included.

        Raises:
            NotSolved: a challenge was not passed.
            TaskFailed: there is no answer of the site.
            RequestRefused, ServiceError: see `solve`.
        """
        return self._run(self._protocol.fetch(fetch_body(url, method, content, timeout, options)))

    def session(self, name: str | None = None) -> Session:
        """Return a session: cookies and logins stay from one call to the next.

        Args:
            name: None: one that nobody else has.
        """
        return Session(self, name or secrets.token_hex(8))

    def health(self) -> Health:
        """Return whether the service can run tasks.

        Raises:
            ServiceError: there is none at that address.
        """
        return self._run(self._protocol.health())

    def check(self) -> None:
        """See whether URL and key are right. Nothing is sent to any site.

        Raises:
            ServiceError: they are not; the message says what to change.
        """
        self._run(self._protocol.check())

    def end_session(self, name: str) -> bool:
        """End a session of that name; returns whether there was one.

        Raises:
            ServiceError: the service cannot be used.
        """
        return self._run(self._protocol.end_session(name))

    def refused(self, result: SolveResult) -> bool:
        """Tell that a site does not take a result's cookies any more, so that nobody else gets them.

        Returns:
            Whether that was news. It is none where others have said so, or a newer clearance is there.

        Raises:
            ServiceError: the service cannot be used.
        """
        shared = result.clearance
        return shared is not None and self._run(self._protocol.refuse(shared.id))

    def _run(self, steps: Steps[T]) -> T:
        return run(steps, self._connection.do)


class Session:
    """A session of the service's. Used as `with client.session() as session`; its end ends it there."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self.name = name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, _: object) -> None:
        with suppress(*([] if error is None else [ClientError])):  # which would hide the other one
            self.close()

    def close(self) -> None:
        """End the session, with all cookies and logins in it.

        Raises:
            ServiceError: the service cannot be used.
        """
        self._client.end_session(self.name)

    def solve(self, url: str, **arguments: Any) -> SolveResult:  # noqa: ANN401 - those of Client.solve
        """Have a page opened in this session; see `Client.solve`."""
        return self._client.solve(url, **{**arguments, "session": self.name})

    def fetch(self, url: str, **arguments: Any) -> FetchResult:  # noqa: ANN401 - those of Client.fetch
        """Have a request sent in this session; see `Client.fetch`."""
        return self._client.fetch(url, **{**arguments, "session": self.name})
