"""Documents that are not HTML, as the browser shows them."""

from __future__ import annotations

import contextlib

import pytest

from captcha_bypass_scrapy.documents import source_of
from captcha_bypass_scrapy.errors import SolveError
from tests.growth import grows_too_fast

FEED = (
    '<rss version="2.0"><channel><title>Code</title><item><description>'
    "&lt;p>Run:&lt;/p>&lt;pre>rm -rf build&lt;/pre></description></item></channel></rss>"
)
#: How Firefox wraps a text.
SHOWN = (
    '<html><head><link rel="stylesheet" href="resource://content-accessible/plaintext.css">'
    "</head><body><pre>{}</pre></body></html>"
)


@pytest.mark.parametrize(
    ("kind", "html", "source"),
    [
        ("application/json", SHOWN.format('{"a": "&lt;1&gt;"}'), '{"a": "<1>"}'),
        ("text/plain", SHOWN.format("&amp;lt; </pre> &amp;"), "&lt; </pre> &"),
        ("text/plain", SHOWN.format(""), ""),
        ("text/csv", "<html><body><pre>a,b\n</pre></body></html>", "a,b\n"),
        ("text/xml", FEED, FEED),
        ("application/rss+xml", f"<!-- <html> --><!DOCTYPE rss>{FEED}", None),
        ("application/xml", "<urlset><pre>x</pre></urlset>", None),
    ],
)
def test_document_is_handed_over_as_it_is(kind: str, html: str, source: str | None) -> None:
    assert source_of(kind, html) == (html if source is None else source)


@pytest.mark.parametrize(
    ("kind", "html"),
    [
        ("image/png", '<html><body><img src="/a.png"></body></html>'),
        ("application/pdf", "<html><body><div>viewer</div><pre>x</pre></body></html>"),
        ("text/plain", "<html><body><h1>not a text</h1><pre>x</pre></body></html>"),
        ("text/plain", ""),
        ("application/json", "<pre>no page of the browser</pre>"),
        # By an XSLT style sheet, as many sitemaps have one.
        ("text/xml", "<!DOCTYPE html><html><body><table></table></body></html>"),
        ("text/xml", '<parsererror xmlns="http://www.mozilla.org/newlayout/xml/parsererror.xml">'),
    ],
)
def test_what_is_shown_in_another_way_is_not_taken_for_the_document(kind: str, html: str) -> None:
    with pytest.raises(SolveError, match=kind.replace("+", r"\+")):
        source_of(kind, html)


@pytest.mark.parametrize("unit", ["<pre/>", "<pre>", "</pre>", "<!--", "<?", "<", "&lt;", " "])
@pytest.mark.parametrize("kind", ["text/xml", "text/plain"])
def test_time_for_a_document_grows_with_its_length(kind: str, unit: str) -> None:
    def read(text: str) -> None:
        with contextlib.suppress(SolveError):
            source_of(kind, text)

    for start in ("", "<html><body>", "<html><body><pre>"):
        assert not grows_too_fast(read, unit, 65_536, start)
