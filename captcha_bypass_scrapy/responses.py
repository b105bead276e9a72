"""From the service's answer to Scrapy's response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.http import HtmlResponse, Response, TextResponse

from captcha_bypass.challenges import media_type
from captcha_bypass_scrapy.documents import encoding_of, is_html, source_of
from captcha_bypass_scrapy.errors import NotHandedOver

if TYPE_CHECKING:
    from scrapy import Request

    from captcha_bypass_scrapy.answers import Solution

#: In `response.flags` where the body is the browser's page.
FLAG = "captcha-bypass"
#: They describe the transfer, or cookies that belong to the browser.
_NOT_OURS = {"content-encoding", "content-length", "transfer-encoding", "connection", "set-cookie"}


def response_from(solution: Solution, request: Request) -> Response:
    """Return the browser's page as the request's response.

    Raises:
        SolveError: it cannot be had from a browser, because it is not a text.
    """
    if solution.get("file"):
        raise NotHandedOver("the address leads to a file, which a browser's page cannot hand over")
    headers: dict[str, Any] = {
        name: value.split("\n")
        for name, value in solution["headers"].items()
        if name.lower() not in _NOT_OURS
    }
    declared = str(solution["headers"].get("content-type", "text/html"))
    kind = media_type([declared.replace("\n", ",")])
    text, encoding = solution["html"], "utf-8"
    cls: type[TextResponse] = HtmlResponse
    if is_html(kind):
        encoding = encoding_of(declared, text)
    else:
        text, cls = source_of(kind, text), _class_for(kind)
    if encoding == "utf-8":
        headers["content-type"] = [f"{kind or 'text/html'}; charset=utf-8"]
    return cls(
        solution["url"],
        status=solution["status_code"] or 200,
        headers=headers,
        # What the page's encoding cannot say its scripts have added.
        body=text.encode(encoding, "surrogatepass" if encoding == "utf-8" else "xmlcharrefreplace"),
        flags=[*request.flags, FLAG],
        request=request,
        encoding=encoding,
    )


def _class_for(kind: str) -> type[TextResponse]:
    from scrapy.responsetypes import responsetypes

    cls = responsetypes.from_mimetype(kind)
    return cls if issubclass(cls, TextResponse) else TextResponse
