"""Looks that are taken at the browsers again and again, whatever goes wrong at one of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)


async def every(seconds: float, look: Callable[[], Awaitable[None]]) -> None:
    """Look for ever, so many seconds after the last look has ended; ends by being cancelled."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await look()
        except Exception:
            logger.exception("looking after the browsers failed; it goes on")
