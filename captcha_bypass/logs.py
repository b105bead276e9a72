"""Log lines for people or for machines."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from types import TracebackType

#: What code of this project hands to `extra=`; never a secret, never a URL's query.
FIELDS = (
    *("task_id", "host", "outcome", "status", "code", "client", "vendor", "kind", "unmet", "hints"),
    *("bytes", "cause", "tasks", "seconds", "page_seconds", "link", "age", "who"),
    "joined",
)
#: A URL: what follows its host, or is a login before that, may be a secret.
_URL = re.compile(
    r"""\b([a-z][a-z0-9+.-]*)://(?:[^\s/?#'"<>]*@)?([^\s/?#'"<>]*)[^\s'"<>]*""", re.IGNORECASE
)

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name in FIELDS if (value := getattr(record, name, None)) is not None}


class _Formatter(logging.Formatter):
    """Tells of a URL no more than its scheme and host where it tells of an error.

    What browsers and asyncio say of errors quotes whole ones.
    """

    def message_of(self, record: logging.LogRecord) -> str:
        """Return the record's message."""
        message = record.getMessage()
        return _shortened(message) if record.exc_info else message

    def formatException(self, ei: _ExcInfo) -> str:
        """Return the traceback."""
        return _shortened(super().formatException(ei))


def _shortened(text: str) -> str:
    return _URL.sub(r"\1://\2", text)


class TextFormatter(_Formatter):
    """Time, level, message, then the fields as name=value."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Append the fields to the line, before a traceback."""
        record.message = self.message_of(record)
        line = super().formatMessage(record)
        return " ".join([line, *(f"{name}={value}" for name, value in _fields(record).items())])


class JsonFormatter(_Formatter):
    """One JSON object a line: time (ISO 8601, UTC), level, logger, message, fields, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.message_of(record),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(level: str, log_format: str) -> None:
    """Send all logs to stderr; `level` counts for this project, others speak from WARNING up."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("captcha_bypass").setLevel(level.upper())
