"""The options of `captcha-bypass solve` and `captcha-bypass fetch`, and their help."""

from __future__ import annotations

import argparse

from captcha_bypass.client.address import KEY_VARIABLE, URL_VARIABLE

#: Exit codes.
NOT_THROUGH, BAD_REQUEST, NO_SERVICE, NO_PAGE, INTERRUPTED = 1, 2, 3, 4, 130
_ENDING = f"""\
The service's address and API key may also be in the environment: {URL_VARIABLE}, {KEY_VARIABLE}.
A proxy's login may be: CAPTCHA_BYPASS_PROXY_USERNAME, CAPTCHA_BYPASS_PROXY_PASSWORD.

exit codes: 0 done, {NOT_THROUGH} the page did not get through, {BAD_REQUEST} a bad argument, {NO_SERVICE} the service cannot be used,
            {NO_PAGE} the browser got no page or no answer
"""


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command."""
    return {"solve": _solve_parser(), "fetch": _fetch_parser()}


def _parser(name: str, description: str, usage: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"captcha-bypass {name}",
        usage=usage,
        description=description,
        epilog=_ENDING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("page", metavar="URL", help="http or https")
    service = parser.add_argument_group("the service")
    service.add_argument("--url", metavar="URL", help="its address (http://127.0.0.1:8191)")
    service.add_argument("--api-key-file", metavar="FILE", help="file with its API key")
    through = parser.add_argument_group("when the page is through (by default: it is no challenge)")
    through.add_argument(
        "--text", action="append", default=[], metavar="TEXT", help="it shows this; repeated: any"
    )
    through.add_argument(
        "--selector", action="append", default=[], metavar="CSS", help="it shows this element"
    )
    return parser


def _add_request(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    group = parser.add_argument_group("the request")
    group.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="for the browser (60)"
    )
    group.add_argument("--proxy", metavar="URL", help="scheme://host:port; http, https or socks5")
    group.add_argument(
        "--on-challenge",
        choices=("report", "wait"),
        help="wait: keep the page for a person where its challenge needs one",
    )
    group.add_argument("--session", metavar="NAME", help="keep cookies and logins under a name")
    group.add_argument(
        *("-H", "--header"), action="append", default=[], metavar="'NAME: VALUE'", help="repeatable"
    )
    return group


def _solve_parser() -> argparse.ArgumentParser:
    parser = _parser(
        "solve",
        "Open a page in the browser of a running service, and tell what it then has.",
        "captcha-bypass solve URL [--text TEXT] [OPTION ...]",
    )
    group = _add_request(parser)
    group.add_argument(
        "--queue-timeout",
        type=float,
        metavar="SECONDS",
        help="to wait for a browser (as --timeout)",
    )
    group.add_argument(
        "--block",
        action="append",
        default=[],
        metavar="KIND",
        help="what is not loaded: image, media, font, stylesheet; repeatable",
    )
    group.add_argument(
        "--reuse",
        type=float,
        metavar="SECONDS",
        help="cookies that the service got so long ago will do; they come without a page",
    )
    prints = parser.add_argument_group("what is printed (by default: a summary)")
    one = prints.add_mutually_exclusive_group()
    one.add_argument("--json", action="store_true", help="all that the service tells, as JSON")
    one.add_argument("--html", action="store_true", help="the page")
    one.add_argument(
        "--curl", action="store_true", help="a command that asks again, as the browser"
    )
    files = parser.add_argument_group("what is written")
    files.add_argument("--cookies", metavar="FILE", help="Netscape format: curl -b, wget, yt-dlp")
    files.add_argument("--storage-state", metavar="FILE", help="cookies as Playwright takes them")
    files.add_argument("--screenshot", metavar="FILE", help="PNG")
    return parser


def _fetch_parser() -> argparse.ArgumentParser:
    parser = _parser(
        "fetch",
        "Have the browser of a running service send a request, and print what the site answers.",
        "captcha-bypass fetch URL [OPTION ...]",
    )
    group = _add_request(parser)
    group.add_argument("-X", "--method", metavar="METHOD", help="GET, or POST with --data")
    group.add_argument("-d", "--data", metavar="TEXT|@FILE", help="the body; @-: standard input")
    prints = parser.add_argument_group("what is printed (by default: the body)")
    prints.add_argument("--json", action="store_true", help="status, headers, body, as JSON")
    prints.add_argument("-i", "--include", action="store_true", help="status and headers, too")
    prints.add_argument("-o", "--output", metavar="FILE", help="write the body there")
    return parser
