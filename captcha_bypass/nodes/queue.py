"""The queue of the settings: this process' own, or one that it shares with others."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from pydantic import SecretStr

from captcha_bypass.config import Config
from captcha_bypass.errors import StartupError
from captcha_bypass.metrics import Metrics
from captcha_bypass.sharing.clearances import Clearances, Refusable
from captcha_bypass.sharing.queue import SharedQueue
from captcha_bypass.tasks.base import Observer, TaskQueue
from captcha_bypass.tasks.memory import MemoryQueue

if TYPE_CHECKING:
    from captcha_bypass.tasks.fleet.homes import FleetHomes


class Queues(NamedTuple):
    """The queue.

    Attributes:
        clearances: Those that it answers tasks from.
        homes: What the services that share it have; None: it is this one's own.
        opening: Opens it, and closes it.
    """

    queue: TaskQueue
    clearances: Refusable
    homes: FleetHomes | None
    opening: AbstractAsyncContextManager[None]


def make_queue(config: Config, metrics: Metrics, observer: Observer) -> Queues:
    """Return the queue that the settings ask for.

    Raises:
        StartupError: what the shared one takes is not installed.
    """
    return (
        _own(config, metrics, observer)
        if config.queue_url is None
        else _shared(config, config.queue_url, metrics, observer)
    )


def _own(config: Config, metrics: Metrics, observer: Observer) -> Queues:
    memory = MemoryQueue(
        max_pending=config.max_queue,
        result_ttl=config.result_ttl,
        max_results_bytes=config.max_results_bytes,
        on_start=metrics.task_started,
        observer=observer,
    )
    clearances = Clearances(config.clearance_ttl, metrics.clearance)
    queue = SharedQueue(memory, clearances, most_joined=config.max_queue, report=metrics.clearance)
    return Queues(queue, clearances, None, nullcontext())


def _shared(config: Config, url: SecretStr, metrics: Metrics, observer: Observer) -> Queues:
    missing = [name for name in ("redis", "cryptography") if find_spec(name) is None]
    if missing:
        raise StartupError(
            f"--queue-url takes the extra `redis` ({', '.join(missing)} missing): from a checkout "
            "pip install '.[server,redis]'"
        )
    # Not at the top: without a shared queue nothing of it is installed.
    from captcha_bypass.nodes.sharing import FleetClearances, FleetSharing
    from captcha_bypass.tasks.fleet.opening import Address, connect, opened
    from captcha_bypass.tasks.fleet.queue import FleetQueue
    from captcha_bypass.tasks.fleet.seal import Seal
    from captcha_bypass.tasks.fleet.steps import PREFIX
    from captcha_bypass.tasks.fleet.store import Store

    address = Address(url.get_secret_value())
    redis = connect(address)
    store = Store(
        redis,
        PREFIX,
        result_ttl=config.result_ttl,
        max_results_bytes=config.max_results_bytes,
        home_ttl=config.session_ttl,
        seal=Seal(config.queue_secrets),
    )
    queue = FleetQueue(
        store,
        name=config.node,
        max_pending=config.max_queue,
        on_start=metrics.task_started,
        observer=observer,
    )
    secrets = Seal.derived(config.queue_secrets, "nodes")
    opening = opened(queue, redis, address, timeout=config.start_timeout, secrets=secrets)
    clearances = FleetClearances(store, config.clearance_ttl, metrics.clearance)
    sharing = FleetSharing(queue, store, clearances, metrics.clearance)
    return Queues(sharing, clearances, queue.homes, opening)
