"""Have a page opened, then read it again without a browser: plain Python, no packages.

python examples/client.py https://example.com "Example Domain"
"""

import json
import os
import sys
from typing import Any
from urllib.request import Request, urlopen

SERVICE = os.environ.get("CAPTCHA_BYPASS_URL", "http://127.0.0.1:8191")
HEADERS = {
    "Content-Type": "application/json",
    "X-API-Key": os.environ.get("CAPTCHA_BYPASS_API_KEY", ""),
}


def call(path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Send a request to the service and return its answer."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(SERVICE + path, data, HEADERS)
    with urlopen(request, timeout=40) as answer:  # longer than `wait` below
        return dict(json.load(answer))


url, text = sys.argv[1:]
task = call("/solve", {"url": url, "success_text": text, "timeout": 60})["task_id"]
while (result := call(f"/result/{task}?wait=30"))["status"] in ("pending", "running"):
    pass
if result["status"] != "completed":
    sys.exit(f"no page: {result['error']}")
page = result["data"]
if page["timeout_reached"]:
    sys.exit(f"not through; unmet: {page['unmet']}, hints: {page['hints']}")

cookies = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in page["cookies"])
again = Request(page["url"], headers={"Cookie": cookies, "User-Agent": page["user_agent"]})
with urlopen(again, timeout=30) as response:
    print(response.status, "through" if text in response.read().decode() else "not through")
