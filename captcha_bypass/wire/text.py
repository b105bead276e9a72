"""White space as the eye sees it: how success texts are compared."""

from __future__ import annotations

import re

# Soft hyphen, zero-width space/non-joiner/joiner, word joiner, BOM, marks of direction and isolates:
# they take no room on a page.
_INVISIBLE = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_SPACE = re.compile(r"\s+")


def fold(text: str) -> str:
    """Fold runs of white space (no-break spaces too) to one blank and drop invisible characters.

    `probe.js` folds the page's text by the same rule.
    """
    return _SPACE.sub(" ", _INVISIBLE.sub("", text)).strip()
