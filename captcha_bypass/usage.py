"""What `captcha-bypass --help` says."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

COMMANDS = ("solve", "fetch")
USAGE = """\
usage: captcha-bypass [SETTING ...]            run the service
       captcha-bypass solve URL [OPTION ...]   open a page in the browser of a running service
       captcha-bypass fetch URL [OPTION ...]   have that browser send a request
       captcha-bypass --version                print the version
       captcha-bypass --help                   print this; after solve or fetch, its options
"""
_ABOUT = """\
Each setting is also an environment variable: --max-queue is CAPTCHA_BYPASS_MAX_QUEUE.
"""
#: Every setting of the service once, as a person looks for it.
GROUPS = {
    "where it listens, and who may use it": (
        *("host", "port", "api_key", "api_key_file", "allow_private_host"),
    ),
    "browsers": (
        *("browser", "browser_path", "headless", "workers", "tasks_per_browser"),
        "max_browser_bytes",
    ),
    "tasks": (
        *("max_timeout", "max_per_host", "max_queue", "max_waiting", "max_html_bytes"),
        *("max_task_bytes", "result_ttl", "max_results_bytes", "clearance_ttl"),
        *("shutdown_timeout", "keep_evidence", "max_evidence_bytes"),
    ),
    "many nodes on one queue": (
        *("queue_url", "queue_secret", "queue_secret_file", "node", "node_url", "start_timeout"),
    ),
    "sessions and requests through the browser": (
        *("max_sessions", "session_ttl", "max_fetch_bytes", "max_fetches_per_host"),
    ),
    "challenges that a person must pass": (
        *("on_challenge", "human_timeout", "max_waiting_pages", "human_webhook", "dashboard_url"),
    ),
    "the proxy of tasks that name none": (
        *("proxy_url", "proxy_username", "proxy_password", "proxy_password_file"),
    ),
    "FlareSolverr's API": ("disable_media", "metrics_domains"),
    "log": ("log_level", "log_format"),
}
_WORDS = {
    "host": "ADDRESS",
    "port": "PORT",
    "api_key": "KEY",
    "allow_private_host": "HOST",
    "human_webhook": "URL",
    "dashboard_url": "URL",
    "proxy_url": "URL",
    "queue_url": "URL",
    "queue_secret": "SECRET",
    "node": "NAME",
    "node_url": "URL",
    "proxy_username": "NAME",
    "proxy_password": "PASSWORD",
}
_TYPES = {int: "NUMBER", float: "SECONDS", bool: "true|false"}
#: Columns of a setting's name, and of a line.
_NAME, _LINE = 30, 100


def settings_help() -> str:
    """Return the help of the service's settings, in groups."""
    from captcha_bypass.config import Config

    fields = Config.model_fields
    lines = [_ABOUT]
    for title, names in GROUPS.items():
        lines += [f"{title}:", *(_setting(name, fields[name]) for name in names), ""]
    return "\n".join(lines)


def _setting(name: str, field: FieldInfo) -> str:
    flag = f"  --{name.replace('_', '-')} {_word(name, field.annotation)}"
    told = field.description or ""
    default = field.default if field.default_factory is None else None
    if default is not None:
        shown = str(default).lower() if isinstance(default, bool) else default
        told += f" ({shown:g})" if isinstance(shown, float) else f" ({shown})"
    indent = " " * _NAME
    text = textwrap.wrap(told, _LINE, initial_indent=indent, subsequent_indent=indent)
    if len(flag) < _NAME - 1:
        text[0] = flag.ljust(_NAME) + text[0].lstrip()
        return "\n".join(text)
    return "\n".join([flag, *text])


def _word(name: str, kind: Any) -> str:  # noqa: ANN401 - a type, or a construction of types
    """Return what stands for a setting's value."""
    if name in _WORDS:
        return _WORDS[name]
    if name.endswith(("_file", "_path")):
        return "FILE"
    if name.endswith("_bytes"):
        return "BYTES"
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    return _TYPES.get(kind, "VALUE")
