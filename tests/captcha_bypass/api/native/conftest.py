"""Fixtures: the native API over a real server and a real queue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from captcha_bypass.api.application import application
from captcha_bypass.browsers.sessions import Sessions
from captcha_bypass.config import Config
from captcha_bypass.history import EvidenceStore, History
from captcha_bypass.metrics import Metrics
from captcha_bypass.nodes.sessions import NodeSessions
from captcha_bypass.sharing.clearances import Clearances
from captcha_bypass.sharing.queue import SharedQueue
from captcha_bypass.status import Browsers, Egress, Readiness, StatusBoard
from tests.support.fetching import NoFetches
from tests.support.native_service import MakeService, Service, WatchedQueue
from tests.support.scripted_queue import Script
from tests.support.status import ToldBrowsers


@pytest.fixture
async def make_service() -> AsyncIterator[MakeService]:
    async with AsyncExitStack() as stack:

        async def make(*, warning: str | None = None, **settings: Any) -> Service:  # noqa: ANN401
            config = Config(**{"workers": 1, "max_timeout": 300.0, **settings})
            history = History(
                EvidenceStore(
                    most=config.keep_evidence,
                    max_bytes=config.max_evidence_bytes,
                    seconds=config.result_ttl,
                )
            )
            queue = WatchedQueue(
                max_pending=config.max_queue,
                result_ttl=config.result_ttl,
                max_results_bytes=config.max_results_bytes,
                observer=history,
            )
            script = Script()
            browsers = ToldBrowsers(
                Readiness(browser="firefox 140.0", warning=warning),
                Browsers(tasks=[3], starting=0, restarts={"tasks": 2}),
            )
            board = StatusBoard(queue, browsers, Egress(bytes_received=7, connections=1))
            sessions = Sessions(most=1, ttl=1.0)
            metrics = Metrics()
            clearances = Clearances(config.clearance_ttl, metrics.clearance)
            shared = SharedQueue(
                queue, clearances, most_joined=config.max_queue, report=metrics.clearance
            )
            app = application(
                config,
                shared,
                NodeSessions(sessions),
                board,
                metrics,
                NoFetches(),
                history,
                clearances=clearances,
            )
            await shared.start(script, config.workers)
            stack.push_async_callback(shared.stop, 0)
            server = TestServer(app, handler_cancellation=True)
            client = await stack.enter_async_context(TestClient(server))
            return Service(client, queue, shared, script, browsers, history)

        yield make


@pytest.fixture
async def service(make_service: MakeService) -> Service:
    return await make_service()
