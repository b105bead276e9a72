"""The ways to the service: one for programs without an event loop, one for asyncio."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import time
from contextlib import closing
from typing import TYPE_CHECKING

from captcha_bypass.client.steps import Answer, Call, NoAnswer, Pause

if TYPE_CHECKING:
    import aiohttp

    from captcha_bypass.client.address import Address

#: Seconds to connect.
CONNECT_SECONDS = 5.0
#: Bytes of an answer that are taken at once.
_PIECE = 64 * 1024


class Connection:
    """Asks the service, each time over a connection of its own; any number of threads may at once.

    A connection that is kept may be closed by the other side just when it is used, and whether the
    service has got a request then nobody can tell.
    """

    def __init__(self, address: Address) -> None:
        self._address = address

    def do(self, step: Call | Pause) -> Answer | None:
        """Do a step of the protocol.

        Raises:
            NoAnswer: there is none in time.
        """
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            return self._answer(step, time.monotonic() + step.timeout)
        except TimeoutError:
            raise NoAnswer(f"none within {step.timeout:g} s") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NoAnswer(str(error) or type(error).__name__) from error

    def _answer(self, step: Call, until: float) -> Answer:
        where = self._address
        kind = http.client.HTTPSConnection if where.tls else http.client.HTTPConnection
        connection = kind(where.host, where.port, timeout=min(CONNECT_SECONDS, step.timeout))
        headers, body = {**where.headers, "Connection": "close"}, None
        if step.body is not None:
            body = json.dumps(step.body).encode()
            headers["Content-Type"] = "application/json"
        with closing(connection):
            connection.connect()
            sock = connection.sock
            sock.settimeout(_left(until))
            connection.request(step.method, where.path + step.path, body, headers)
            response = connection.getresponse()
            pieces = []
            while piece := response.read1(_PIECE):
                pieces.append(piece)
                # And the socket with it: newer Pythons know when all is read (gh-113199).
                if response.isclosed():
                    break
                sock.settimeout(_left(until))
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, b"".join(pieces))


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class AsyncConnection:
    """Asks the service over connections that are kept; `close` ends them."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections. What is asked after it opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def do(self, step: Call | Pause) -> Answer | None:
        """Do a step of the protocol.

        Raises:
            NoAnswer: there is none in time.
        """
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        import aiohttp  # takes as long to load as all the rest, and `Connection` needs none of it

        try:
            return await self._answer(step)
        except TimeoutError:
            raise NoAnswer(f"none within {step.timeout:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswer(str(error) or type(error).__name__) from error

    async def _answer(self, step: Call) -> Answer:
        import aiohttp

        data, headers = None, {}
        if step.body is not None:
            data = io.BytesIO(json.dumps(step.body).encode())  # aiohttp warns of large bytes
            headers["Content-Type"] = "application/json"
        async with self._connected().request(
            step.method,
            self._address.shown + step.path,
            data=data,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=step.timeout, sock_connect=CONNECT_SECONDS),
            allow_redirects=False,
        ) as response:
            body = await response.read()
        found = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, found, body)

    def _connected(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                headers=self._address.headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session
