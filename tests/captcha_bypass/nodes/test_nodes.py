"""Where a node says that others find it."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from captcha_bypass.nodes.nodes import Nodes


def listening(host: str, *, seen_at: str | None, node_url: str | None = None) -> str:
    """Return the address by which others reach a node that listens at a host."""
    homes = SimpleNamespace(seen_at=seen_at, url="")
    queues: Any = SimpleNamespace(homes=homes, opening=nullcontext())
    unused: Any = None
    Nodes(queues, unused, unused, node_url).listening_at(host, 8191)
    return str(homes.url)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("seen_at", ["10.0.0.5", "fd00::5"])
def test_node_that_only_its_own_machine_reaches_says_so_where_redis_is_elsewhere(
    host: str, seen_at: str, caplog: pytest.LogCaptureFixture
) -> None:
    listening(host, seen_at=seen_at)
    (record,) = caplog.records
    assert host in record.message
    assert "--host or --node-url" in record.message


@pytest.mark.parametrize(
    ("host", "seen_at", "node_url", "url"),
    [
        ("127.0.0.1", "127.0.0.1", None, "http://127.0.0.1:8191"),  # all on one machine
        ("127.0.0.1", None, None, "http://127.0.0.1:8191"),
        ("127.0.0.1", "10.0.0.5", "http://n.example", "http://n.example"),
        ("0.0.0.0", "10.0.0.5", None, "http://10.0.0.5:8191"),
        ("::", "fd00::5", None, "http://[fd00::5]:8191"),
        ("10.0.0.5", "10.0.0.5", None, "http://10.0.0.5:8191"),
    ],
)
def test_node_is_found_where_it_listens_or_is_said_to_be(
    host: str, seen_at: str | None, node_url: str | None, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert listening(host, seen_at=seen_at, node_url=node_url) == url
    assert caplog.records == []
