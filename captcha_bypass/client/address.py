"""Where the service is, and the key to it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from captcha_bypass.client.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where a service is that was started without any settings.
DEFAULT_URL = "http://127.0.0.1:8191"
URL_VARIABLE, KEY_VARIABLE = "CAPTCHA_BYPASS_URL", "CAPTCHA_BYPASS_API_KEY"


class Address:
    """A service's address.

    Args:
        url: scheme://host[:port], with a path where a proxy serves it below one.
        api_key: Empty: none is sent.

    Attributes:
        shown: The address, for messages. It has no secrets.

    Raises:
        ServiceError: one of them cannot be right.
    """

    def __init__(self, url: str, api_key: str = "") -> None:
        try:
            parts = urlsplit(url)
            self.port = parts.port
        except ValueError:
            raise _invalid("its host or port is none") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise _invalid(f"it must begin with http:// or https:// and a host, as {DEFAULT_URL}")
        if "@" in parts.netloc:
            raise _invalid("leave the login out, and give the API key by itself")
        if parts.query or parts.fragment or not url.isprintable() or " " in url:
            raise _invalid(f"it must be nothing but an address, as {DEFAULT_URL}")
        if not api_key.isascii() or not api_key.isprintable() or " " in api_key:
            raise ServiceError(
                "invalid_api_key", "The API key has blanks or other characters that no key has."
            )
        self.tls = parts.scheme == "https"
        self.host: str = parts.hostname
        self.path = parts.path.rstrip("/")
        self.shown = f"{parts.scheme}://{parts.netloc}{self.path}"
        self.headers = {"Accept": "application/json"}
        if api_key:
            self.headers["Authorization"] = f"Bearer {api_key}"

    @classmethod
    def of(
        cls, url: str | None, api_key: str | None, environ: Mapping[str, str] = os.environ
    ) -> Self:
        """Return the address given, or that of the environment, or the default.

        Raises:
            ServiceError: it cannot be right.
        """
        if url is None:
            url = environ.get(URL_VARIABLE) or DEFAULT_URL
        return cls(url, key_of(environ) if api_key is None else api_key)


def key_of(environ: Mapping[str, str]) -> str:
    """Return the API key of the environment; the service itself may have several there, with commas."""
    return environ.get(KEY_VARIABLE, "").partition(",")[0].strip()


def _invalid(why: str) -> ServiceError:
    return ServiceError("invalid_url", f"The service's address is not a usable URL: {why}.")
