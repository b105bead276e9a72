"""Open a page in the service's browser, and keep what other programs go on with.

python examples/solve_and_save.py https://example.com "Example Domain"
curl -b cookies.txt ...; Playwright: browser.new_context(storage_state="state.json")
"""

import json
import sys
from pathlib import Path

from captcha_bypass.client import Client, NotSolved

url, text = sys.argv[1:]
with Client() as client:  # its address is in CAPTCHA_BYPASS_URL, or the usual one
    try:
        result = client.solve(url, success_text=text, screenshot=True)
    except NotSolved as error:
        sys.exit(f"not through: {error}")
result.save_netscape("cookies.txt")
Path("state.json").write_text(json.dumps(result.storage_state()))
Path("page.png").write_bytes(result.screenshot or b"")
print(result.status_code, result.solved, result.user_agent)
