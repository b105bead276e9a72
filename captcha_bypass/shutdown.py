"""How the service is asked to stop, and what is seen to before it does."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from captcha_bypass.errors import StartupError
from captcha_bypass.fetching.sites import Sites
from captcha_bypass.tasks.base import TaskQueue

logger = logging.getLogger(__name__)

