"""How tasks and results are written for Redis: as JSON, encrypted where there is a secret."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from captcha_bypass.tasks.base import JsonDict

#: Bytes from which on they are not read or written on the event loop: about 2 ms of it.
THREAD_BYTES = 128 * 1024


class Unreadable(Exception):
    """What is in Redis was written with another secret, or by something else."""


class Seal:
    """Writes and reads JSON objects.

    Args:
        secrets: Passphrases; the first writes, all of them read, so that they can be changed one node
            after the other. Empty: nothing is encrypted.
    """

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        keys = [Fernet(_key(secret)) for secret in secrets]
        self._fernet = MultiFernet(keys) if keys else None

    @staticmethod
    def derived(secrets: tuple[str, ...], purpose: str) -> tuple[str, ...]:
        """Return what only who knows a secret can make of it, for each of them."""
        return tuple(
            hmac.new(_key(secret), purpose.encode(), hashlib.sha256).hexdigest()
            for secret in secrets
        )

    async def write(self, value: JsonDict) -> bytes:
        """Return an object as bytes."""
        text = json.dumps(value, separators=(",", ":"))
        if len(text) < THREAD_BYTES or self._fernet is None:
            return self._encrypt(text)
        return await asyncio.to_thread(self._encrypt, text)

    async def read(self, data: bytes) -> JsonDict:
        """Return the object.

        Raises:
            Unreadable: it is none that this secret can read.
        """
        if len(data) < THREAD_BYTES:
            return self._decrypt(data)
        return await asyncio.to_thread(self._decrypt, data)

    def _encrypt(self, text: str) -> bytes:
        data = text.encode()
        return data if self._fernet is None else self._fernet.encrypt(data)

    def _decrypt(self, data: bytes) -> JsonDict:
        try:
            plain = data if self._fernet is None else self._fernet.decrypt(data)
            value: Any = json.loads(plain)
        except (InvalidToken, ValueError):
            raise Unreadable from None
        if not isinstance(value, dict):
            raise Unreadable
        return value


def _key(secret: str) -> bytes:
    # A passphrase of the operator's becomes the 32 bytes that Fernet wants. Its work factor is for
    # passphrases that are short; the salt need not differ, there is one secret in a fleet.
    derived = hashlib.scrypt(
        secret.encode(), salt=b"captcha-bypass queue", n=2**14, r=8, p=1, dklen=32
    )
    return base64.urlsafe_b64encode(derived)
