"""A certificate for this machine, made for one test run, and a Firefox that trusts it."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.support.warm_firefox import installed_firefox

_KEY = ["-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]


class Certificate(NamedTuple):
    """Of an authority that nobody else knows."""

    authority: Path
    #: For localhost and 127.0.0.1, with its key.
    site: Path

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.site)
        return context

    def client(self) -> ssl.SSLContext:
        """One that trusts nothing else."""
        return ssl.create_default_context(cafile=str(self.authority))


def make_certificate(folder: Path) -> Certificate:
    made = Certificate(folder / "authority.pem", folder / "site.pem")
    key = folder / "authority.key"
    ask = ["openssl", "req", "-x509", *_KEY]
    authority = [*ask, "-subj", "/CN=Test authority", "-keyout", str(key)]
    authority += ["-addext", "keyUsage=critical,keyCertSign"]  # asked for since Python 3.13
    subprocess.run([*authority, "-out", str(made.authority)], check=True, capture_output=True)
    site = [*ask, "-subj", "/CN=localhost", "-keyout", str(made.site)]
    site += ["-CA", str(made.authority), "-CAkey", str(key)]
    for extension in (
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "basicConstraints=critical,CA:FALSE",
        "extendedKeyUsage=serverAuth",
    ):
        site += ["-addext", extension]
    signed = subprocess.run(site, check=True, capture_output=True, text=True).stdout
    made.site.write_text(made.site.read_text() + signed)
    return made


def trusting_firefox(folder: Path, authority: Path) -> Path:
    """Lay out a Firefox that also trusts an authority, and return its program.

    Firefox reads an administrator's policies from beside its program: the one that is installed is not
    touched, all but the program itself and its policies are links to it.
    """
    installed = installed_firefox()
    assert installed is not None
    for part in installed.parent.iterdir():
        if part.name not in (installed.name, "distribution"):
            (folder / part.name).symlink_to(part)
    shutil.copy(installed, folder / installed.name)
    (folder / "distribution").mkdir()
    policies = {"policies": {"Certificates": {"Install": [str(authority)]}}}
    (folder / "distribution" / "policies.json").write_text(json.dumps(policies))
    return folder / installed.name
