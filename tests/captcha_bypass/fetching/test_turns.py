"""Requests to one host wait their turn, in order, whatever becomes of those before them."""

from __future__ import annotations

import asyncio

from captcha_bypass.fetching.turns import Turns


class Line:
    """Those who have a turn, and who had one when."""

    def __init__(self, most: int) -> None:
        self.turns = Turns(most)
        self.had: list[str] = []
        self.leave: dict[str, asyncio.Event] = {}

    def ask(self, name: str, host: str = "a", *, first: bool = False) -> asyncio.Task[None]:
        async def take() -> None:
            async with self.turns.turn(host, first=first):
                self.had.append(name)
                await self.leave.setdefault(name, asyncio.Event()).wait()

        return asyncio.create_task(take())

    def go(self, name: str) -> None:
        self.leave.setdefault(name, asyncio.Event()).set()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_others_wait_in_order_and_who_had_a_turn_is_first() -> None:
    line = Line(2)
    tasks = [line.ask(name) for name in "abcd"]
    await settle()
    tasks.append(line.ask("again", first=True))
    await settle()
    assert line.had == ["a", "b"]
    line.go("a")
    await settle()
    assert line.had == ["a", "b", "again"]
    line.go("b")
    line.go("again")
    await settle()
    assert line.had == ["a", "b", "again", "c", "d"]
    for name in "cd":
        line.go(name)
    await asyncio.gather(*tasks)


async def test_hosts_do_not_wait_for_each_other() -> None:
    line = Line(1)
    tasks = [line.ask("a", "one"), line.ask("b", "two")]
    await settle()
    assert line.had == ["a", "b"]
    for name in "ab":
        line.go(name)
    await asyncio.gather(*tasks)


async def test_who_leaves_the_line_or_its_turn_makes_room() -> None:
    line = Line(1)
    a, b, c = (line.ask(name) for name in "abc")
    await settle()
    b.cancel()
    await settle()
    a.cancel()
    await settle()
    assert line.had == ["a", "c"]
    d = line.ask("d")
    await settle()
    # Its turn has come, and it has not taken it yet.
    line.go("c")
    await c
    d.cancel()
    await asyncio.wait({d})
    e = line.ask("e")
    line.go("e")
    await e
    assert line.turns._hosts == {}
