"""Fixtures of the guard's tests."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.captcha_bypass.egress.servers import Internet


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Internet:
    return Internet(monkeypatch)


class Certificate(NamedTuple):
    """For localhost and 127.0.0.1, signed by itself."""

    cert: Path
    key: Path

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context

    def der(self) -> bytes:
        """As a client sees it."""
        return ssl.PEM_cert_to_DER_cert(self.cert.read_text())

    def client(self) -> ssl.SSLContext:
        """A client that trusts nothing else."""
        return ssl.create_default_context(cafile=str(self.cert))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("certificate")
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += [
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-keyout",
        str(made.key),
        "-out",
        str(made.cert),
    ]
    command += ["-addext", "subjectAltName=DNS:localhost,DNS:proxy.example,IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return made
