"""A real Redis of the tests' own, on a loopback port."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import randrange
from time import monotonic, sleep

from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.exceptions import RedisError

#: Debian's redis-tools has the server's program under this name, and starts no service of the machine's.
SERVER = next(
    filter(None, map(shutil.which, ("redis-server", "valkey-server", "redis-check-rdb"))), None
)


def _free_port() -> int:
    """Return a port that nobody is given by chance: before Redis has it, and while it is away."""
    given = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(given.read_text().split()[0]) if given.exists() else 32768
    while True:
        port = randrange(max(1024, first - 16384), first) if first > 1024 else 0  # noqa: S311
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found


class RedisServer:
    """A server process; its data is below `folder`, and outlives the process."""

    def __init__(self, folder: Path, *options: str, files: tuple[str, ...] = ()) -> None:
        self._folder = folder
        self._files = files
        self._options = options
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and return once it answers."""
        assert SERVER is not None, "redis-server is missing: bash .ci/setup redis"
        fixed = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder))
        command = ["redis-server", *self._files, *fixed, *self._options]
        self._process = subprocess.Popen(command, executable=SERVER, stdout=subprocess.DEVNULL)
        until = monotonic() + 10
        with BlockingRedis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                except RedisError:
                    assert monotonic() < until
                    sleep(0.02)
                else:
                    return

    def kill(self) -> None:
        """End it as a crash does."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def freeze(self) -> None:
        """Keep it from answering, with its connections open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """Yield a running Redis."""
    with _running(RedisServer(folder, "--save", "", *options)) as server:
        yield server


@contextmanager
def redis_sentinel(folder: Path, watched: RedisServer) -> Iterator[RedisServer]:
    """Yield a sentinel that watches over a Redis, by the name `queue`."""
    file = folder / "sentinel.conf"
    file.write_text(f"sentinel monitor queue 127.0.0.1 {watched.port} 1\n")
    found = RedisServer(folder, "--sentinel", files=(str(file),))
    with _running(found) as server:
        yield server


@contextmanager
def _running(server: RedisServer) -> Iterator[RedisServer]:
    server.start()
    try:
        yield server
    finally:
        server.kill()


@asynccontextmanager
async def connected(server: RedisServer) -> AsyncIterator[Redis]:
    """Yield a connection."""
    redis = Redis.from_url(server.url, socket_timeout=5.0)
    try:
        yield redis
    finally:
        await redis.aclose()
