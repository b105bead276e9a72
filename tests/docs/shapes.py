"""Whether an answer that a page shows has the shape of the one that the service gives."""

from __future__ import annotations

import json
from collections.abc import Iterator

#: Objects whose keys are data: header names, causes, error codes.
OPEN = frozenset({"headers", "request_headers", "restarts", "failures", "failed_requests"})


def differences(shown: object, real: object, at: str = "$") -> Iterator[str]:
    """Tell where two JSON values differ in more than their values; null has any type."""
    if shown is None or real is None:
        return
    if isinstance(shown, dict) and isinstance(real, dict):
        yield from _of_objects(shown, real, at)
    elif isinstance(shown, list) and isinstance(real, list):
        if shown:
            for item in real:
                yield from differences(shown[0], item, f"{at}[]")
    elif _kind(shown) != _kind(real):
        yield f"{at}: shown is {_kind(shown)}, real is {_kind(real)}"


def _of_objects(shown: dict[str, object], real: dict[str, object], at: str) -> Iterator[str]:
    if at.rpartition(".")[2] in OPEN:
        kinds = {_kind(value) for value in shown.values()}
        for name, value in real.items():
            if _kind(value) not in kinds:
                yield f"{at}.{name}: shown is {kinds}, real is {_kind(value)}"
        return
    for name in sorted(shown.keys() ^ real.keys()):
        yield f"{at}.{name}: only {'shown' if name in shown else 'real'}"
    for name in shown.keys() & real.keys():
        yield from differences(shown[name], real[name], f"{at}.{name}")


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else type(value).__name__


def documents(text: str) -> list[object]:
    """Return the JSON objects that stand one after the other in a program's output."""
    found: list[object] = []
    decoder, text = json.JSONDecoder(), text.strip()
    while text.startswith("{"):
        try:
            value, end = decoder.raw_decode(text)
        except ValueError:
            break
        found.append(value)
        text = text[end:].strip()
    return found


def is_failure(answer: object) -> bool:
    """Whether an answer of the service says that something did not work."""
    if not isinstance(answer, dict):
        return False
    failed = answer.get("error") or answer.get("success") is False
    return bool(failed) or answer.get("status") in ("error", "not_found")
