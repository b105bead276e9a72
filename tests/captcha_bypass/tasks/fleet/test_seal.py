"""What is written for Redis is read with the same secret, while that is changed too, and with no other."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest

from captcha_bypass.tasks.base import JsonDict
from captcha_bypass.tasks.fleet.seal import THREAD_BYTES, Seal, Unreadable

TASK: JsonDict = {"url": "https://example.com/\N{SNOWMAN}", "proxy": {"password": "canary"}}


@cache
def seal(*secrets: str) -> Seal:
    """A seal; making its keys takes long on purpose."""
    return Seal(secrets)


@pytest.mark.parametrize("secrets", [(), ("old",), ("new", "old")])
@pytest.mark.parametrize("size", [0, 2 * THREAD_BYTES])
async def test_what_was_written_is_read(secrets: tuple[str, ...], size: int) -> None:
    value = {**TASK, "html": "x" * size}
    assert await seal(*secrets).read(await seal(*secrets).write(value)) == value


async def test_what_is_sealed_shows_nothing_and_differs_each_time() -> None:
    written = [await seal("old").write(TASK) for _ in range(2)]
    assert b"canary" not in written[0] + written[1]
    assert written[0] != written[1]


@pytest.mark.parametrize("writer", [(), ("other",)])
async def test_what_another_secret_wrote_is_not_read(writer: tuple[str, ...]) -> None:
    with pytest.raises(Unreadable):
        await seal("old").read(await seal(*writer).write(TASK))


async def test_what_is_sealed_is_not_read_without_a_secret() -> None:
    with pytest.raises(Unreadable):
        await seal().read(await seal("old").write(TASK))


async def test_one_changed_byte_makes_it_unreadable() -> None:
    data = bytearray(await seal("old").write(TASK))
    data[len(data) // 2] ^= 1
    with pytest.raises(Unreadable):
        await seal("old").read(bytes(data))


@pytest.mark.parametrize("data", [b"", b"[]", b"1", b"{", b"\xff\xfe", b"null", b'"text"'])
@pytest.mark.parametrize("secrets", [(), ("old",)])
async def test_garbage_is_unreadable_and_nothing_else(
    data: bytes, secrets: tuple[str, ...]
) -> None:
    with pytest.raises(Unreadable):
        await seal(*secrets).read(data)


async def test_sealed_json_that_is_no_object_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        await seal("old").read(seal("old")._encrypt("[1]"))


#: As docs/many-nodes.md says that a secret is changed: neighbours run at the same time.
STAGES = [("old",), ("old", "new"), ("new", "old"), ("new",)]
NEIGHBOURS = [*pairwise(STAGES), *pairwise(STAGES[::-1])]


@pytest.mark.parametrize(("one", "other"), NEIGHBOURS)
async def test_nodes_read_each_other_and_know_each_other_while_the_secret_is_changed(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    assert await seal(*one).read(await seal(*other).write(TASK)) == TASK
    assert Seal.derived(one, "nodes")[0] in Seal.derived(other, "nodes")


def test_what_is_derived_of_a_secret_is_another_for_each_secret_and_purpose() -> None:
    found = [*Seal.derived(("old", "new"), "nodes"), *Seal.derived(("old",), "else")]
    assert len(set(found)) == 3
    assert Seal.derived((), "nodes") == ()
