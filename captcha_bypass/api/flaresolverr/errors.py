"""How FlareSolverr's clients are told of what is refused, and where they have their key."""

from __future__ import annotations

import time

from aiohttp import web

from captcha_bypass.api.access import KeyPlace
from captcha_bypass.api.errors import Handler
from captcha_bypass.api.flaresolverr.answers import failure
from captcha_bypass.errors import RequestError

V1_PATH = "/v1"
#: Commands go to either: of http://host/?key=KEY clients make http://host/?key=KEY/v1.
COMMAND_PATHS = frozenset({V1_PATH, "/"})


@web.middleware
async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the refusal of a command FlareSolverr's shape, whose status is 500, whoever refused it."""
    started = time.time()
    try:
        return await handler(request)
    except RequestError as error:
        if request.method == "POST" and request.path in COMMAND_PATHS:
            return failure(str(error), started)
        raise


def _keys_in_url(request: web.Request) -> list[str]:
    # FlareSolverr's clients know no keys, but take any URL; all they do is to put /v1 at its end.
    given = request.query.getall("key", []) if request.path in COMMAND_PATHS else []
    return [*given, *(key.removesuffix(V1_PATH) for key in given)]


KEY_IN_URL = KeyPlace(_keys_in_url, "open /v1?key=KEY")
