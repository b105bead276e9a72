"""A node that is cut off from Redis: nothing comes through any more, and nobody says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from captcha_bypass.errors import QueueUnavailable
from captcha_bypass.tasks.base import State
from tests.captcha_bypass.tasks.fleet.conftest import MakeNode
from tests.captcha_bypass.tasks.fleet.test_queue import hasty
from tests.captcha_bypass.tasks.implementations import fleet_queue, known
from tests.support.redis_server import RedisServer
from tests.support.scripted_queue import Script, ended, until

__all__ = ["hasty"]


class Cable:
    """The way to a Redis, which can be cut: what is sent then is gone, and connections stay open."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._whole = asyncio.Event()
        self._whole.set()
        self._ends: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        self._whole.clear()

    def mend(self) -> None:
        """New connections get through; what the old ones sent is lost, and they with it."""
        self._whole.set()
        for end in self._ends:
            end.close()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                if self._whole.is_set():
                    sink.write(data)
        except ConnectionError:
            pass
        finally:
            sink.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        ends = {writer, back}
        self._ends |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, back))
                group.create_task(self._pass(there, writer))
        finally:
            self._ends -= ends

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[str]:
        """Yield the URL of the near end."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        try:
            yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        finally:
            server.close()
            self.mend()


@pytest.mark.usefixtures("hasty")
async def test_tasks_of_a_node_that_is_cut_off_run_elsewhere_and_it_drops_them_once_it_is_back(
    make_node: MakeNode, server: RedisServer
) -> None:
    living, script, first = await make_node("living"), Script(), Script()
    cable = Cable(server.port)
    async with cable.laid() as url:
        redis = Redis.from_url(url, socket_timeout=0.3, socket_connect_timeout=0.3)
        away = fleet_queue(redis, prefix=living._store._prefix, name="away")
        try:
            await away.start(first, 1)
            await living.submit("a", {}, 60)
            await until(lambda: first.running == {"a"})
            cable.cut()
            with pytest.raises(QueueUnavailable):
                await away.get("a")
            await living.start(script, 1)
            await until(lambda: script.running == {"a"})
            cable.mend()
            await until(lambda: first.cancelled == ["a"])
            assert (await known(away, "a")).state is State.RUNNING
            script.end("a", {"data": {"by": "living"}})
            assert (await ended(away, "a")).data == {"by": "living"}
        finally:
            cable.mend()
            await away.close()
            await redis.aclose()
