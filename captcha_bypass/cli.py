"""Flags and environment become a Config, and the service runs."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import NoReturn

from captcha_bypass import __version__, logs, usage
from captcha_bypass.errors import StartupError

logger = logging.getLogger(__name__)

EXIT_BAD_VALUE = 2
#: What the extra `server` brings, and nothing else does.
SERVER_MODULES = (
    *("camoufox", "prometheus_client", "psutil", "pydantic", "pydantic_settings", "python_socks"),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the console script `captcha-bypass`.

    Exit codes: 0 stopped by a signal, 2 a setting was refused, 3 could not start; those of the commands
    are in `client.commands`.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] and arguments[0] in usage.COMMANDS:
        # Not at the top: the service needs none of it.
        from captcha_bypass.client.commands import main as run_command

        raise SystemExit(run_command(arguments))
    if "--version" in arguments:
        print(f"captcha-bypass {__version__}")
        return
    if {"-h", "--help"} & set(arguments):
        _print_help()
        return
    _check_installation()
    if arguments[:1] and not arguments[0].startswith("-"):
        _refuse(f"there is no command {arguments[0]!r}; captcha-bypass --help lists them")
    # Not at the top: an installation for clients alone has no pydantic.
    from captcha_bypass.config import parse
    from captcha_bypass.config.environment import forget_secrets, remarks

    config = parse(arguments, _refuse)
    logs.configure(config.log_level, config.log_format)
    for line in remarks(os.environ):
        logger.warning("%s", line)
    # Driver and browsers inherit the environment, and a page that breaks into one could read it.
    forget_secrets(os.environ)
    # Not at the top: these load Playwright, which `--help` and a bad flag need not wait for.
    from captcha_bypass.app import serve
    from captcha_bypass.config.memory import allowed_bytes, memory_remarks

    for line in memory_remarks(config, allowed_bytes()):
        logger.warning("%s", line)
    try:
        asyncio.run(serve(config))
    except StartupError as error:
        _end(error)


def _print_help() -> None:
    """Print how the program is called, and the settings of the service where that is installed."""
    print(usage.USAGE)
    missing = _missing()
    print(_only_clients(missing) if missing else usage.settings_help())


def _missing() -> list[str]:
    return [name for name in SERVER_MODULES if find_spec(name) is None]


def _check_installation() -> None:
    """End the program where the service is not installed, only its clients."""
    missing = _missing()
    if missing:
        _end(StartupError(_only_clients(missing)))


def _only_clients(missing: list[str]) -> str:
    return (
        f"the service is not installed, only its clients ({', '.join(missing)} missing); install "
        "it with its extra `server`, from a checkout with pip install '.[server]'"
    )


def _end(error: StartupError) -> NoReturn:
    print(f"captcha-bypass: error: {error}", file=sys.stderr)
    raise SystemExit(error.exit_code) from None


def _refuse(message: str) -> NoReturn:
    print(f"captcha-bypass: error: {message}", file=sys.stderr)
    raise SystemExit(EXIT_BAD_VALUE)
