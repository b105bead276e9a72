"""A name server for one network namespace: A and AAAA, nothing is kept, answers may change."""

from __future__ import annotations

import asyncio
import ipaddress
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

#: What a name stands for. A list of lists: one answer after the other, the last for ever.
Zone = Mapping[str, Sequence[str] | Sequence[Sequence[str]]]

_TYPES = {1: 4, 28: 6}


class NameServer(asyncio.DatagramProtocol):
    """Answers from a zone; unknown names do not exist."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._transport: asyncio.DatagramTransport
        #: How often each name was asked for, by name and record type (1: A, 28: AAAA).
        self.asked: Counter[tuple[str, int]] = Counter()

    @property
    def names(self) -> set[str]:
        """The names that somebody asked for."""
        return {name for name, _ in self.asked}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        name, end = _name(data)
        kind = struct.unpack("!H", data[end : end + 2])[0]
        turn = self.asked[name, kind]
        self.asked[name, kind] += 1
        addresses = [
            ipaddress.ip_address(text)
            for text in self._answer(name, turn)
            if ipaddress.ip_address(text).version == _TYPES.get(kind)
        ]
        code = 0 if name in self._zone else 3
        header = data[:2] + struct.pack("!5H", 0x8580 | code, 1, len(addresses), 0, 0)
        records = b"".join(
            struct.pack("!3HIH", 0xC00C, kind, 1, 0, len(address.packed)) + address.packed
            for address in addresses
        )
        self._transport.sendto(header + data[12 : end + 4] + records, addr)

    def _answer(self, name: str, turn: int) -> list[str]:
        answers = self._zone.get(name, [])
        found: list[str] = []
        for number, answer in enumerate(answers):
            if isinstance(answer, str):
                found.append(answer)
            elif number == min(turn, len(answers) - 1):
                found.extend(answer)
        return found


def _name(question: bytes) -> tuple[str, int]:
    """Return the name asked for, and where its record type stands."""
    labels = []
    at = 12
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode("latin-1").lower())
        at += 1 + length
    return ".".join(labels), at + 1
