"""Ports that browsers do not open, whatever answers there."""

from __future__ import annotations

from captcha_bypass.browsers.failures import PORT_BLOCKED
from captcha_bypass.egress.rules import Destination
from captcha_bypass.errors import TaskError

#: The Fetch standard's bad ports (fetch.spec.whatwg.org/#port-blocking), which are Firefox's too.
#: A server of mail or the like could be made to take a request for commands of its own.
BLOCKED_PORTS = frozenset(
    [
        *(1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95),
        *(101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179),
        *(389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601),
        *(636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000),
        *(6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080),
    ]
)


def check_port(destination: Destination) -> None:
    """Refuse a destination whose port no browser opens: each words its own refusal differently.

    Raises:
        TaskError: `blocked_address`.
    """
    if destination.port in BLOCKED_PORTS:
        raise TaskError("blocked_address", PORT_BLOCKED)
