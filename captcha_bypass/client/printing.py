"""What the commands print. What a site says is shown on a terminal without its control characters."""

from __future__ import annotations

import json
import shlex
from base64 import b64encode
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captcha_bypass.client.errors import NotSolved
from captcha_bypass.client.secret_files import write_secret

if TYPE_CHECKING:
    from argparse import Namespace
    from typing import TextIO

    from captcha_bypass.client.errors import ClientError
    from captcha_bypass.client.results import FetchResult, SolveResult

#: Names of cookies in a summary.
_FEW = 12
_SHOWN_CONTROLS = "\n\t"


def print_error(error: ClientError, out: TextIO, err: TextIO, *, as_json: bool) -> None:
    """Say what went wrong."""
    if as_json:
        told: dict[str, Any] = {"code": error.code, "message": str(error)}
        if isinstance(error, NotSolved):
            told |= {"challenge": error.challenge, "challenge_kind": error.challenge_kind}
            told |= {"unmet": error.unmet, "hints": [asdict(hint) for hint in error.hints]}
        _print_json({"error": told}, out)
    print(f"captcha-bypass: {visible(str(error))}", file=err)


def print_solved(
    result: SolveResult,
    failure: NotSolved | None,
    arguments: Namespace,
    proxy: dict[str, Any] | None,
    out: TextIO,
    err: TextIO,
) -> None:
    """Print and write what was asked for. Cookies of a page that is not through are of no use."""
    written = _write(result, arguments, through=failure is None)
    if arguments.json:
        _print_json(dict(result.raw), out)
    elif arguments.html:
        print(visible(result.html) if out.isatty() else result.html, file=out)
    elif failure is None and arguments.curl:
        print(curl(result, arguments.page, proxy), file=out)
    elif failure is None:
        for name, text in [*summary(result), *(("wrote", path) for path in written)]:
            print(f"{name:<9}{visible(text)}", file=out)
    if failure is not None:
        print(f"captcha-bypass: {visible(str(failure))}", file=err)
        for path in written:
            print(f"wrote    {path}", file=err)


def summary(result: SolveResult) -> list[tuple[str, str]]:
    """Return what a person wants to know of a page that is through."""
    how = (
        f"a challenge of {result.solved} was passed" if result.solved else "there was no challenge"
    )
    names = [cookie.name for cookie in result.cookie_list]
    few = ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")
    return [
        ("through", f"{result.url} (HTTP {result.status_code}, {result.elapsed:.1f} s; {how})"),
        ("cookies", few or "none"),
        ("agent", result.user_agent or "unknown"),
    ]


def curl(result: SolveResult, url: str, proxy: dict[str, Any] | None) -> str:
    """Return a command that asks for a page again with the browser's cookies and user-agent.

    A proxy's login is left out: write it yourself.
    """
    words = ["curl", "-sS", "--compressed"]
    if proxy is not None:
        words += ["-x", proxy["server"]]
    if result.user_agent:
        words += ["-A", result.user_agent]
    cookies = [f"{c.name}={c.value}" for c in result.cookie_list if c.goes_to(url)]
    if cookies:
        words += ["-b", "; ".join(cookies)]
    return shlex.join([*words, url])


def print_fetched(answer: FetchResult, arguments: Namespace, out: TextIO, err: TextIO) -> None:
    """Print a site's answer, its body as it came where no terminal is in the way."""
    told = f"HTTP {answer.status_code}, {len(answer.content)} bytes, {answer.elapsed:.1f} s"
    if answer.solved:
        told += f"; a challenge of {answer.solved} was passed"
    if arguments.output is not None:
        Path(arguments.output).write_bytes(answer.content)
    if arguments.json:
        fields = {**asdict(answer), "content": b64encode(answer.content).decode()}
        _print_json(fields, out)
        return
    if err.isatty() or arguments.output is not None:
        print(told, file=err)
    if arguments.include:
        lines = [f"HTTP {answer.status_code}", *(f"{n}: {v}" for n, v in answer.headers), ""]
        print("\n".join(map(visible, lines)), file=out)
    if arguments.output is None:
        _print_body(answer, out, err)


def _print_body(answer: FetchResult, out: TextIO, err: TextIO) -> None:
    if not out.isatty():
        out.flush()
        out.buffer.write(answer.content)
        out.buffer.flush()
    elif b"\0" in answer.content[:4096]:
        print("The body is no text: write it with --output FILE.", file=err)
    else:
        print(visible(answer.text), file=out)


def _write(result: SolveResult, arguments: Namespace, *, through: bool) -> list[str]:
    """Write the files that were asked for, and return their names."""
    written = []
    if arguments.screenshot is not None and result.screenshot is not None:
        Path(arguments.screenshot).write_bytes(result.screenshot)
        written.append(arguments.screenshot)
    if through and arguments.cookies is not None:
        result.save_netscape(arguments.cookies)
        written.append(arguments.cookies)
    if through and arguments.storage_state is not None:
        write_secret(arguments.storage_state, json.dumps(result.storage_state(), indent=1) + "\n")
        written.append(arguments.storage_state)
    return written


def visible(text: str) -> str:
    """Return text without characters that a terminal acts on."""
    return "".join(
        c if c.isprintable() or c in _SHOWN_CONTROLS else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def _print_json(value: object, out: TextIO) -> None:
    json.dump(value, out, indent=1, ensure_ascii=False)
    print(file=out)
