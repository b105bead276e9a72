"""Documents that are not HTML, got back out of the page in which a browser shows them."""

from __future__ import annotations

import codecs

from w3lib.encoding import html_body_declared_encoding, http_content_type_encoding

from captcha_bypass.challenges import SHOWN_AS_HTML
from captcha_bypass_scrapy.errors import NotHandedOver

#: What a page may be written in besides UTF-8, by Python's names; sites could name slow codecs, too.
_LEGACY = frozenset(
    codecs.lookup(name).name
    for name in (
        *(f"cp{number}" for number in (866, 874, 932, 949, *range(1250, 1259))),
        *(f"iso8859-{number}" for number in (*range(1, 9), 10, 11, 13, 14, 15, 16)),
        *("koi8-r", "koi8-u", "mac-roman", "mac-cyrillic", "tis-620"),
        *("gb18030", "gbk", "big5", "big5hkscs", "euc-jp", "shift_jis", "euc-kr"),
    )
)
#: Bytes at the top of a page in which its encoding is declared, as browsers look for it.
_DECLARATION = 4096

#: Firefox writes texts with these in its DOM.
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", "\xa0"), ("&amp;", "&"))


def is_html(kind: str) -> bool:
    """Whether the browser's DOM is the document itself."""
    return kind in SHOWN_AS_HTML


def encoding_of(content_type: str, html: str) -> str:
    """Return what a page was written in, by Python's name; UTF-8 where it does not say.

    Links and forms write a query in their page's encoding, so it must not change with the way in
    which a page was fetched.
    """
    found = http_content_type_encoding(content_type[:_DECLARATION])
    found = found or html_body_declared_encoding(html[:_DECLARATION])
    return found if found in _LEGACY else "utf-8"


def source_of(kind: str, html: str) -> str:
    """Return the document that the browser shows.

    XML stays as it is in the DOM. Other texts are all there is in a page of the browser's own,
    inside one `<pre>`.

    Args:
        kind: The document's media type, in lower case.
        html: The DOM as the service hands it over.

    Raises:
        NotHandedOver: the browser shows something else, such as an image.
    """
    if kind in {"text/xml", "application/xml"} or kind.endswith("+xml"):
        if not _root_of(html).startswith(("<html", "<parsererror")):
            return html
        raise NotHandedOver(
            f"the browser shows the {kind} by a style sheet or as broken, and not as it is"
        )
    start = html.find("<body")
    start = html.find(">", start) + 1 if start >= 0 else 0
    body = html[start:].strip() if start else ""
    body = body.removesuffix("</html>").rstrip().removesuffix("</body>").rstrip()
    if not body.startswith("<pre") or not body.endswith("</pre>"):
        raise NotHandedOver(f"the browser's page is {kind}, which it cannot hand over")
    text = body[body.index(">") + 1 : -len("</pre>")]
    for entity, sign in _ENTITIES:
        text = text.replace(entity, sign)
    return text


def _root_of(xml: str) -> str:
    """Return the beginning of the root's start tag."""
    start = 0
    while (start := xml.find("<", start)) >= 0:
        if xml.startswith("<!--", start):
            start = xml.find("-->", start)
        elif xml.startswith(("<?", "<!"), start):
            start = xml.find(">", start)
        else:
            return xml[start : start + 64].lower()
        if start < 0:
            break
    return ""
