"""Tells another service, by HTTP, that a page waits for a person."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp

from captcha_bypass.concurrency import Background
from captcha_bypass.human.waits import Wait
from captcha_bypass.tasks.base import JsonDict

logger = logging.getLogger(__name__)

#: Seconds before each try; three are enough for a service that restarts, and the person is waited for.
PAUSES = (0.0, 2.0, 8.0)
#: Seconds for one try, from the look-up of the name to the answer's status.
TRY_SECONDS = 5.0
#: Messages under way; whatever hangs there must not pile up here.
MOST = 100


class Webhook:
    """Sends a message for each wait, in the background; used as `async with Webhook(url) as hook`.

    Args:
        url: May hold secrets anywhere behind its host, which alone is told in the log.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        parts = urlsplit(url)
        #: Without a login, path and query.
        self._host = parts.netloc.rpartition("@")[2]
        self._background = Background()
        self._session: aiohttp.ClientSession
        #: Messages under way.
        self.running = 0

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=TRY_SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._background.close()
        await self._session.close()

    def announce(self, wait: Wait) -> None:
        """Begin to send the message; returns at once."""
        if self.running >= MOST:
            self._warn(wait, f"{MOST} messages are still under way")
            return
        self.running += 1
        self._background.run(self._send(wait), self._sent)

    def _sent(self) -> None:
        self.running -= 1

    async def _send(self, wait: Wait) -> None:
        """Try until it is taken, or nobody is waited for any more."""
        why = ""
        for pause in PAUSES:
            await asyncio.sleep(pause)
            if wait.ended.is_set():
                return
            failure = await self._try(message_of(wait))
            if failure is None:
                return
            why = failure
        self._warn(wait, why)

    async def _try(self, message: JsonDict) -> str | None:
        """Return why the message was not taken; None: it was."""
        try:
            # An answer's body says nothing that is needed; closing does not wait for it.
            async with self._session.post(self._url, json=message, allow_redirects=False) as answer:
                return None if 200 <= answer.status < 300 else f"it answered {answer.status}"
        except TimeoutError:
            return f"it did not answer within {TRY_SECONDS:g} s"
        except (aiohttp.ClientError, OSError) as error:
            return type(error).__name__  # whose text may quote the URL

    def _warn(self, wait: Wait, why: str) -> None:
        logger.warning(
            "--human-webhook was not told of a page that waits (%s: %s)",
            self._host,
            why,
            extra={"task_id": wait.task_id},
        )


def message_of(wait: Wait) -> JsonDict:
    """Return what is told of a wait: nothing that opens anything without a key, where there are keys."""
    return {
        "event": "waiting_for_human",
        "task_id": wait.task_id,
        "host": wait.host,
        "vendor": wait.vendor,
        "link": wait.link,
        "until": round(wait.until, 3),
    }
