"""Sees every packet in a network namespace, and remembers who was to be reached."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from types import TracebackType
from typing import Self

_ETH_P_ALL, _PACKET_OUTGOING = 3, 4
_TCP, _UDP = 6, 17
_SYN, _ACK = 0x02, 0x10


class Sniffer:
    """Used as `with Sniffer() as sniffer` on a running event loop; needs root."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024**2)
        self._socket.setblocking(False)
        #: Where TCP connections were opened to: address and port.
        self.opened: set[tuple[str, int]] = set()
        #: Where UDP packets were sent to.
        self.sent: set[tuple[str, int]] = set()

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._socket, self._read)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._read()
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        while True:
            try:
                packet, (_, _, direction, *_) = self._socket.recvfrom(128)
            except BlockingIOError:
                return
            if direction == _PACKET_OUTGOING:
                self._note(packet)

    def _note(self, packet: bytes) -> None:
        version = packet[0] >> 4
        if version == 4:
            protocol, target, size = packet[9], packet[16:20], (packet[0] & 15) * 4
        elif version == 6:
            protocol, target, size = packet[6], packet[24:40], 40
        else:
            return
        where = str(ipaddress.ip_address(target))
        if protocol not in (_TCP, _UDP):
            return
        port = struct.unpack("!H", packet[size + 2 : size + 4])[0]
        if protocol == _UDP:
            self.sent.add((where, port))
        elif packet[size + 13] & (_SYN | _ACK) == _SYN:
            self.opened.add((where, port))
