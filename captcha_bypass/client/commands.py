"""`captcha-bypass solve URL` and `captcha-bypass fetch URL`: a running service from the command line."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from captcha_bypass.client.address import DEFAULT_URL, KEY_VARIABLE, URL_VARIABLE, key_of
from captcha_bypass.client.bodies import proxy_fields
from captcha_bypass.client.errors import (
    ClientError,
    NotSolved,
    RequestRefused,
    TaskFailed,
)
from captcha_bypass.client.options import (
    BAD_REQUEST,
    INTERRUPTED,
    NO_PAGE,
    NO_SERVICE,
    NOT_THROUGH,
    parsers,
)
from captcha_bypass.client.printing import print_error, print_fetched, print_solved
from captcha_bypass.client.progress import Progress
from captcha_bypass.client.sync import Client

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from captcha_bypass.client.results import SolveResult

#: As shells report a program that SIGPIPE has ended.
PIPE_CLOSED = 141
#: Seconds of a question for a result where a person watches.
WATCHED_POLL = 2.0


@dataclass(frozen=True)
class Streams:
    """Where a command writes: what was asked for, and what is for a person alone."""

    out: TextIO
    err: TextIO


def main(
    argv: Sequence[str], environ: Mapping[str, str] = os.environ, streams: Streams | None = None
) -> int:
    """Run a command; returns the exit code.

    Args:
        argv: The command, and its arguments.
    """
    streams = streams or Streams(sys.stdout, sys.stderr)
    arguments = parsers()[argv[0]].parse_args(list(argv[1:]))
    work = _solve if argv[0] == "solve" else _fetch
    progress = Progress(streams.err)
    try:
        poll = {"long_poll": WATCHED_POLL} if progress.shown else {}
        _check_files(arguments)
        key = _key(arguments.api_key_file, environ)
        url = arguments.url or environ.get(URL_VARIABLE) or DEFAULT_URL
        client = Client(url, key, on_state=progress.state, on_human=progress.human, **poll)
        return work(client, arguments, _proxy(arguments.proxy, environ), progress, streams)
    except ClientError as error:
        print_error(error, streams.out, streams.err, as_json=arguments.json)
        return _code(error)
    except BrokenPipeError:  # whoever reads has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except (OSError, ValueError) as error:
        print(f"captcha-bypass: error: {error}", file=streams.err)
        return BAD_REQUEST
    except KeyboardInterrupt:
        return INTERRUPTED


def _check_files(arguments: argparse.Namespace) -> None:
    """Refuse a file that cannot be written before a page is opened for it."""
    for name in ("cookies", "storage_state", "screenshot", "output"):
        file = getattr(arguments, name, None)
        if file is None:
            continue
        path = Path(file)
        if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
            flag = name.replace("_", "-")
            raise ValueError(
                f"--{flag}: {file} cannot be written; name a file in a folder of yours"
            )


def _solve(
    client: Client,
    arguments: argparse.Namespace,
    proxy: dict[str, Any] | None,
    progress: Progress,
    streams: Streams,
) -> int:
    options: dict[str, Any] = {
        **_common(arguments, proxy),
        "block": arguments.block or None,
        "reuse": arguments.reuse,
    }
    if arguments.screenshot is not None:
        options["screenshot"] = True
    failure: NotSolved | None = None
    try:
        with progress:
            result: SolveResult = client.solve(
                arguments.page, queue_timeout=arguments.queue_timeout, **options
            )
    except NotSolved as error:
        if error.result is None:
            raise
        failure, result = error, error.result  # it is looked at all the same
    print_solved(result, failure, arguments, proxy, streams.out, streams.err)
    return 0 if failure is None else NOT_THROUGH


def _fetch(
    client: Client,
    arguments: argparse.Namespace,
    proxy: dict[str, Any] | None,
    progress: Progress,
    streams: Streams,
) -> int:
    content = None if arguments.data is None else _data(arguments.data)
    method = arguments.method or ("GET" if content is None else "POST")
    with progress:
        answer = client.fetch(
            arguments.page, method=method, content=content, **_common(arguments, proxy)
        )
    print_fetched(answer, arguments, streams.out, streams.err)
    return 0


def _common(arguments: argparse.Namespace, proxy: dict[str, Any] | None) -> dict[str, Any]:
    """Return what both commands ask for; None is left out."""
    return {
        "timeout": arguments.timeout,
        "proxy": proxy,
        "session": arguments.session,
        "on_challenge": arguments.on_challenge,
        "headers": dict(map(_header, arguments.header)) or None,
        "success_text": _one_or_all(arguments.text),
        "success_selector": _one_or_all(arguments.selector),
    }


def _one_or_all(given: list[str]) -> str | list[str] | None:
    return (given[0] if len(given) == 1 else given) if given else None


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise ValueError(f"--header must be NAME: VALUE, not {name!r}")
    return name.strip(), value.strip()


def _data(given: str) -> bytes:
    """Return a body: the text, or what is in a file (@FILE), or on the standard input (@-)."""
    if given == "@-":
        return sys.stdin.buffer.read()
    return Path(given[1:]).read_bytes() if given.startswith("@") else given.encode()


def _key(file: str | None, environ: Mapping[str, str]) -> str:
    """Return the API key: of a file the first line that is neither blank nor a comment."""
    file = file or (None if environ.get(KEY_VARIABLE) else environ.get(f"{KEY_VARIABLE}_FILE"))
    if file is None:
        return key_of(environ)
    lines = (line.strip() for line in Path(file).read_text("utf-8").splitlines())
    key = next((line for line in lines if line and not line.startswith("#")), None)
    if key is None:
        raise ValueError("the file of the API key has none; write it on a line")
    return key


def _proxy(given: str | None, environ: Mapping[str, str]) -> dict[str, Any] | None:
    if given is None:
        return None
    login = {
        name: environ[f"CAPTCHA_BYPASS_PROXY_{name.upper()}"]
        for name in ("username", "password")
        if environ.get(f"CAPTCHA_BYPASS_PROXY_{name.upper()}")
    }
    fields = proxy_fields(given)
    return fields if "username" in fields else {**fields, **login}


def _code(error: ClientError) -> int:
    if isinstance(error, NotSolved):
        return NOT_THROUGH
    if isinstance(error, TaskFailed):
        return NO_PAGE
    if isinstance(error, RequestRefused):
        return NO_SERVICE if error.status >= 500 else BAD_REQUEST
    return BAD_REQUEST if error.code in ("invalid_url", "invalid_api_key") else NO_SERVICE
