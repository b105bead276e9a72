"""A session of requests that gets past challenges: two lines more, and nothing else changes.

python examples/requests_session.py https://example.com/1 https://example.com/2
"""

import sys

import requests

from captcha_bypass.client.requests import ClearanceAdapter

with requests.Session() as session:
    adapter = ClearanceAdapter()  # the service's address is in CAPTCHA_BYPASS_URL, or the usual one
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    for url in sys.argv[1:]:
        answer = session.get(url, timeout=30)
        answer.raise_for_status()  # a challenge that was not passed is the site's own 403
        print(answer.status_code, len(answer.content), url)
