"""A client of FlareSolverr: this service's address in place of FlareSolverr's, and nothing else.

    python examples/flaresolverr_client.py https://example.com

It opens the page twice in one session: the second time there is no challenge any more.
"""

import json
import os
import sys
from typing import Any
from urllib.request import Request, urlopen

SERVICE = os.environ.get("FLARESOLVERR_URL", "http://127.0.0.1:8191")


def command(cmd: str, **parameters: object) -> dict[str, Any]:
    """Send a command and return the answer; a failed one raises HTTPError."""
    body = json.dumps({"cmd": cmd, **parameters}).encode()
    request = Request(f"{SERVICE}/v1", body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=90) as answer:  # longer than maxTimeout
        return dict(json.load(answer))


session = command("sessions.create")["session"]
try:
    for _ in range(2):
        answer = command("request.get", url=sys.argv[1], session=session, maxTimeout=60_000)
        print(answer["solution"]["status"], answer["message"])
finally:
    command("sessions.destroy", session=session)
