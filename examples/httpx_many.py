"""Many pages of a challenged site at once with httpx: the challenge is solved once for all of them.

python examples/httpx_many.py https://example.com/1 https://example.com/2 https://example.com/3
"""

import asyncio
import sys

import httpx

from captcha_bypass.client.httpx import AsyncClearanceTransport


async def main(urls: list[str]) -> None:
    """Get all pages, six at a time, as browsers do."""
    limits = httpx.Limits(max_connections=6)
    # The service's address is in CAPTCHA_BYPASS_URL, or the usual one.
    transport = AsyncClearanceTransport(transport=httpx.AsyncHTTPTransport(limits=limits))
    async with httpx.AsyncClient(transport=transport, timeout=30) as client:
        for answer in await asyncio.gather(*map(client.get, urls)):
            print(answer.status_code, len(answer.content), answer.url)


asyncio.run(main(sys.argv[1:]))
