"""A document's source as text, in the encoding that browsers would take it to be in."""

from __future__ import annotations

import codecs
import re

#: Bytes in which a document's own declaration counts
#: (https://html.spec.whatwg.org/#prescan-a-byte-stream-to-determine-its-encoding).
_PRESCAN = 1024
_LABEL = re.compile(rb"[\w.:-]{1,40}", re.ASCII)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: Labels that Python does not know as browsers do (https://encoding.spec.whatwg.org/#names-and-labels).
_LABELS = {
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "x-euc-jp": "euc_jp",
    "windows-949": "cp949",
    "windows-874": "cp874",
    "dos-874": "cp874",
    "x-gbk": "gb18030",
    "x-x-big5": "big5hkscs",
    "x-mac-cyrillic": "mac-cyrillic",
    "iso-8859-8-i": "iso8859-8",
}
#: The encodings that browsers know, by Python's names, and what they read in place of each.
_READ_AS = {
    **{name: name for name in ("utf-8", "utf-16-le", "utf-16-be", "koi8-r", "koi8-u", "cp866")},
    **{name: name for name in ("cp874", "cp932", "cp949", "euc_jp", "iso2022_jp", "big5hkscs")},
    **{name: name for name in ("mac-roman", "mac-cyrillic", "gb18030")},
    **{f"cp{number}": f"cp{number}" for number in range(1250, 1259)},
    **{f"iso8859-{part}": f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)},
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "utf-16": "utf-16-le",
}


def decode(source: bytes, content_type: str) -> str:
    """Return the text of a document's source; what cannot be read becomes U+FFFD.

    Args:
        content_type: The header's value, empty for none.
    """
    sent = _as_sent(source)
    for mark, encoding in _MARKS:
        if sent.startswith(mark):
            return sent[len(mark) :].decode(encoding, "replace")
    declared = _encoding(_charset(content_type.encode("latin-1", "replace")))
    if declared is None:
        declared = _encoding(_declared_inside(source[:_PRESCAN]))
        if declared is not None and declared.startswith("utf-16"):
            declared = "utf-8"  # or it could not have been read
    if declared == "utf-8" or (declared is None and _is_utf8(sent)):
        return source.decode("utf-8", "replace")
    return sent.decode(declared or "cp1252", "replace")


def _as_sent(source: bytes) -> bytes:
    """Return what the site has sent.

    Firefox hands over what is not UTF-8 as if each byte were a character, encoded as UTF-8.
    """
    try:
        sent = source.decode().encode("latin-1")
    except UnicodeError:
        return source
    return source if _is_utf8(sent) else sent


def _is_utf8(source: bytes) -> bool:
    try:
        source.decode()
    except UnicodeDecodeError:
        return False
    return True


def _charset(text: bytes) -> str:
    """Return what follows the first `charset=`, empty if there is none."""
    _, _, rest = text.lower().partition(b"charset")
    rest = rest.lstrip()
    label = _LABEL.match(rest[1:].lstrip(b" \t\r\n\f\"'")) if rest.startswith(b"=") else None
    return label.group().decode("ascii") if label else ""


def _declared_inside(head: bytes) -> str:
    for tag in head.lower().split(b"<")[1:]:
        inside = tag.partition(b">")[0]
        if inside.startswith(b"?xml"):
            inside = inside.replace(b"encoding", b"charset")
        elif not inside.startswith(b"meta"):
            continue
        if label := _charset(inside):
            return label
    return ""


def _encoding(label: str) -> str | None:
    """Return Python's name of the encoding; only of those that browsers know."""
    try:
        name = codecs.lookup(_LABELS.get(label, label)).name if label else ""
    except LookupError:
        return None
    return _READ_AS.get(name)
