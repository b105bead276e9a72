"""What the value of a setting may be."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from captcha_bypass.egress.rules import AllowedHost
from captcha_bypass.wire.fields import check_url


def is_loopback(host: str) -> bool:
    """Whether `host`, an address or a name, is this machine for itself alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _check_key(key: SecretStr) -> SecretStr:
    # Printable ASCII passes any HTTP client unchanged; a comma separates keys in the environment.
    if not re.fullmatch(r"[!-+\--~]{8,}", key.get_secret_value()):
        raise ValueError(
            "a key must have at least 8 printable ASCII characters, no spaces, no commas"
        )
    return key


Lowered = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
Seconds = Annotated[float, Field(allow_inf_nan=False, gt=0)]


def _queue_url(value: SecretStr) -> SecretStr:
    if not re.match(r"((redis|rediss)(\+sentinel)?://[^/\s]|unix:///)", value.get_secret_value()):
        raise ValueError("must be redis://[:PASSWORD@]HOST[:PORT]/DATABASE, or rediss:// for TLS")
    return value


def _queue_secret(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < 16:
        raise ValueError("a secret must have at least 16 characters")
    return value


Keys = tuple[Annotated[SecretStr, AfterValidator(_check_key)], ...]
#: Repeatable as a flag, whose values arrive joined, and separated by commas in the environment.
Listed = BeforeValidator(
    lambda value: [item.strip() for item in value.split(",")] if isinstance(value, str) else value
)


def _private_host(value: str) -> str:
    AllowedHost.parse(value)
    return value


PrivateHost = Annotated[str, AfterValidator(_private_host)]


def _webhook(value: SecretStr) -> SecretStr:
    check_url(value.get_secret_value())
    return value


def _link_base(value: str) -> str:
    url = check_url(value)
    if url.username or url.password or url.query or url.fragment:
        raise ValueError("must be scheme://host:port, or that and a path")
    return value.rstrip("/")


#: May hold a secret, in any part.
WebhookUrl = Annotated[SecretStr, AfterValidator(_webhook)]
LinkBase = Annotated[str, AfterValidator(_link_base)]
QueueUrl = Annotated[SecretStr, AfterValidator(_queue_url)]
Secrets = tuple[Annotated[SecretStr, AfterValidator(_queue_secret)], ...]
