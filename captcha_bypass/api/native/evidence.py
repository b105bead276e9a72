"""GET /task/{task_id}/evidence: what the page of an unfinished or failed task showed in the end."""

from __future__ import annotations

import base64

from aiohttp import hdrs, web

from captcha_bypass.api.access import owner_of
from captcha_bypass.api.large import Outbox
from captcha_bypass.config import Config
from captcha_bypass.errors import FieldError, InvalidRequest, NoEvidence
from captcha_bypass.history import Evidence, EvidenceStore

_TYPES = {"html": "text/plain; charset=utf-8", "jpeg": "image/jpeg"}
#: A site has made what is shown: whichever browser opens it takes it for what it is said to be, runs
#: nothing, loads nothing, and keeps it from other sites' pages and on no disk.
_HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class EvidenceApi:
    """The route, over what is kept."""

    def __init__(self, config: Config, evidence: EvidenceStore) -> None:
        self._evidence = evidence
        self._outbox = Outbox(most=config.max_waiting, most_bytes=config.max_results_bytes)

    def routes(self) -> list[web.RouteDef]:
        """Return the route table."""
        return [web.get("/task/{task_id:[^/]+}/evidence", self.evidence, allow_head=False)]

    async def evidence(self, request: web.Request) -> web.Response:
        """Return both HTML and picture as JSON, or one of them as it is.

        Raises:
            NoEvidence: nothing is kept of the task, not that part of it, or it is somebody else's.
            InvalidRequest: there is no such part.
            TooManyWaiting: too much is being sent already.
        """
        task_id, part = request.match_info["task_id"], request.query.get("part")
        if part is not None and part not in _TYPES:
            raise InvalidRequest([FieldError("part", "must be html or jpeg, or left out")])
        found = self._evidence.get(task_id, owner_of(request))
        if found is None:
            raise NoEvidence(
                "There is no evidence of that task: it has its page, has not ended, is not yours, or "
                "what was kept is gone; --keep-evidence says of how many tasks it is kept."
            )
        if part is None:
            answer = self._outbox.answer(task_id, _view(found))
            answer.headers.update(_HEADERS)
            return answer
        body = found.html if part == "html" else found.jpeg
        if body is None:
            raise NoEvidence(f"The page's {part} could not be had in time.")
        headers = {**_HEADERS, hdrs.CONTENT_TYPE: _TYPES[part]}
        return self._outbox.body(f"{task_id} {part}", body, headers)


def _view(found: Evidence) -> dict[str, str | float | None]:
    return {
        "url": found.url,
        "html": None if found.html is None else found.html.decode(),
        "jpeg": None if found.jpeg is None else base64.b64encode(found.jpeg).decode(),
        "at": found.at,
    }
