"""A session's context is used at once by those alone who may reach the same."""

from __future__ import annotations

import asyncio

from captcha_bypass.browsers.permits import Permits
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.rules import Destination

A, B = Permit(Destination("a.test", 80)), Permit(Destination("b.test", 80))


class Room:
    def __init__(self) -> None:
        self.permits = Permits()
        self.inside: list[str] = []

    def enter(self, name: str, permit: Permit) -> asyncio.Task[None]:
        async def use() -> None:
            async with self.permits.using(permit):
                self.inside.append(name)
                try:
                    await asyncio.Future()
                finally:
                    self.inside.remove(name)

        return asyncio.create_task(use())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_equal_permits_share_and_others_wait_for_all_of_them() -> None:
    room = Room()
    one, two = room.enter("one", A), room.enter("two", A)
    other = room.enter("other", B)
    await settle()
    assert room.inside == ["one", "two"]
    one.cancel()
    await settle()
    assert room.inside == ["two"]
    two.cancel()
    await settle()
    assert room.inside == ["other"]
    other.cancel()


async def test_nobody_overtakes_who_waits() -> None:
    room = Room()
    one = room.enter("one", A)
    await settle()
    other = room.enter("other", B)
    await settle()
    late = room.enter("late", A)
    await settle()
    assert room.inside == ["one"]
    one.cancel()
    await settle()
    assert room.inside == ["other"]
    other.cancel()
    await settle()
    assert room.inside == ["late"]
    late.cancel()


async def test_who_gives_up_waiting_lets_the_next_in() -> None:
    room = Room()
    one = room.enter("one", A)
    await settle()
    other, late = room.enter("other", B), room.enter("late", A)
    await settle()
    other.cancel()
    await settle()
    assert room.inside == ["one", "late"]
    one.cancel()
    late.cancel()
    await settle()
    assert room.inside == []
    last = room.enter("last", B)
    await settle()
    assert room.inside == ["last"]
    last.cancel()
