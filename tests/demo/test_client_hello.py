"""A ClientHello is read from what real clients send, in whatever pieces it comes."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.client_hello import ClientHello, HelloServer
from tests.support.certificate import make_certificate


def hello_of(context: ssl.SSLContext, name: str = "site.test") -> bytes:
    """The first bytes that a client of Python sends."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def parsed(data: bytes) -> ClientHello:
    hello = ClientHello.parse(data)
    assert hello is not None
    return hello


PYTHON = hello_of(ssl.create_default_context())


def test_clients_offer_is_read_as_it_was_sent() -> None:
    context = ssl.create_default_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384")
    context.set_alpn_protocols(["http/1.1"])
    hello = parsed(hello_of(context))
    # 0xff stands for a renegotiation that is secure.
    assert hello.ciphers == (0xC02F, 0xC030, 0x00FF)
    assert hello.extensions[16] == b"\0\x09\x08http/1.1"
    assert hello.extensions[0].endswith(b"site.test")


def test_clients_are_told_apart_and_each_is_always_itself() -> None:
    other = ssl.create_default_context()
    other.set_ciphers("ECDHE+AESGCM")
    again = [hello_of(ssl.create_default_context(), f"site{n}.test") for n in range(3)]
    assert {parsed(data).fingerprint for data in again} == {parsed(PYTHON).fingerprint}
    assert parsed(hello_of(other)).fingerprint != parsed(PYTHON).fingerprint


def test_random_numbers_and_order_of_extensions_do_not_change_a_client() -> None:
    hello = parsed(PYTHON)
    mixed = dict(
        reversed([*hello.extensions.items(), (0x1A1A, b"\0"), (41, b"resumed"), (21, b"")])
    )
    shuffled = ClientHello((0x2A2A, *hello.ciphers), mixed)
    assert shuffled.fingerprint == hello.fingerprint
    reordered = ClientHello(tuple(reversed(hello.ciphers)), hello.extensions)
    assert reordered.fingerprint != hello.fingerprint


@given(st.integers(0, len(PYTHON) - 1))
def test_part_of_a_hello_is_waited_for(size: int) -> None:
    assert ClientHello.parse(PYTHON[:size]) is None
    assert parsed(PYTHON + b"more").ciphers == parsed(PYTHON).ciphers


@given(st.integers(1, len(PYTHON) - 6))
def test_hello_may_come_in_several_records(size: int) -> None:
    head, message = PYTHON[:3], PYTHON[5:]
    parts = (message[:size], message[size:])
    records = b"".join(head + len(part).to_bytes(2) + part for part in parts)
    assert parsed(records) == parsed(PYTHON)


@given(st.binary(max_size=300))
def test_anything_else_is_refused_or_waited_for(data: bytes) -> None:
    try:
        assert ClientHello.parse(data) is None
    except ValueError:
        return


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\0\x05\x02\0\0\x01\0"])
def test_what_is_no_hello_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no ClientHello"):
        ClientHello.parse(data)


class _Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


async def test_connections_work_as_if_nobody_had_looked(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    trusting = certificate.client()
    hellos: dict[object, ClientHello] = {}
    context = certificate.server()
    async with HelloServer(_Echo, context, "127.0.0.1", 0, hellos) as server:
        plain = await asyncio.open_connection("127.0.0.1", server.port)
        plain[1].write(b"GET / HTTP/1.1\r\n\r\n")
        silent = await asyncio.open_connection("127.0.0.1", server.port)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=trusting)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        assert list(hellos) == [writer.get_extra_info("sockname")]
        with suppress(ConnectionResetError):  # as what it has sent was not read
            assert await plain[0].read() == b""
        for opened in (writer, plain[1], silent[1]):
            opened.close()
