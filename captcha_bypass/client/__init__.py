"""Clients of a running service: one call opens a challenged page, one sends a request through its browser.

It needs nothing of the service's own packages: the standard library, and aiohttp for `AsyncClient`.
"""

from __future__ import annotations

from captcha_bypass.client.aio import AsyncClient, AsyncSession
from captcha_bypass.client.cookies import Cookie
from captcha_bypass.client.errors import (
    ClientError,
    NotSolved,
    RequestRefused,
    ServiceError,
    TaskFailed,
)
from captcha_bypass.client.obstacles import Hint
from captcha_bypass.client.results import FetchResult, Health, SharedClearance, SolveResult
from captcha_bypass.client.sync import Client, Session

__all__ = [
    "AsyncClient",
    "AsyncSession",
    "Client",
    "ClientError",
    "Cookie",
    "FetchResult",
    "Health",
    "Hint",
    "NotSolved",
    "RequestRefused",
    "ServiceError",
    "Session",
    "SharedClearance",
    "SolveResult",
    "TaskFailed",
]
