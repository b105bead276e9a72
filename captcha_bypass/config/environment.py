"""The environment: names without prefix (compose files', FlareSolverr's), and what is no setting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote

from pydantic_settings import BaseSettings, EnvSettingsSource

#: Settings that are also read without the prefix.
BARE_NAMES = frozenset(
    {"workers", "port", "result_ttl", "log_level", "host", "headless", "disable_media"}
    | {"proxy_url", "proxy_username", "proxy_password"}
)
_PROXY = ("proxy_url", "proxy_username", "proxy_password")
#: Levels of Python's logging by which FlareSolverr goes, and that are none of ours.
_LEVELS = {"warn": "warning", "critical": "error", "fatal": "error"}
_SECRET = {"CAPTCHA_BYPASS_API_KEY", "CAPTCHA_BYPASS_PROXY_PASSWORD", "PROXY_PASSWORD"} | {
    "CAPTCHA_BYPASS_HUMAN_WEBHOOK",
    "CAPTCHA_BYPASS_QUEUE_URL",
    "CAPTCHA_BYPASS_QUEUE_SECRET",
}
_URLS = {"CAPTCHA_BYPASS_PROXY_URL", "PROXY_URL"}
#: FlareSolverr's names, now or once, that have no setting here, and what to do instead.
_METRICS = "metrics are at GET /metrics on this service's own port"
_INSTEAD = {
    "PROMETHEUS_ENABLED": _METRICS,
    "PROMETHEUS_PORT": _METRICS,
    "CAPTCHA_SOLVER": "image puzzles are not solved",
    "LOG_FILE": "the log goes to stderr",
    "LOG_HTML": "the HTML is in each result",
    "TEST_URL": "no site is opened at the start",
    "BROWSER_TIMEOUT": "each request has its own timeout, up to --max-timeout",
}


#: What Kubernetes and Docker's links put into `<NAME>_PORT` for a service called so, in any program.
_SERVICE_LINK = ("tcp://", "udp://", "sctp://")


class PrefixedEnvironment(EnvSettingsSource):
    """The environment with prefix, but for the links to a service that has this program's name."""

    def __call__(self) -> dict[str, Any]:
        """Return what is there."""
        return _without_link(super().__call__())


class BareEnvironment(EnvSettingsSource):
    """The environment without prefix, for BARE_NAMES, in FlareSolverr's spelling too."""

    def __init__(self, settings: type[BaseSettings]) -> None:
        super().__init__(settings, env_prefix="", env_ignore_empty=True)

    def __call__(self) -> dict[str, Any]:
        """Return what is there; a proxy only as a whole, never with another one's login."""
        found = {name: value for name, value in super().__call__().items() if name in BARE_NAMES}
        found = _without_link(found)
        if not _is_place(found.get("host", "")):
            found.pop("host", None)
        if "log_level" in found:
            level = found["log_level"].lower()
            found["log_level"] = _LEVELS.get(level, level)
        if "proxy_url" in self.current_state:
            return {name: value for name, value in found.items() if name not in _PROXY}
        return _login(found.get("proxy_url", "")) | found | _without_login(found)


def _without_link(found: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in found.items() if k != "port" or not v.startswith(_SERVICE_LINK)}


def _is_place(host: str) -> bool:
    """Whether a value of HOST is an address to listen on, not the name some shells give there."""
    try:
        ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    return True


def _login(url: str) -> dict[str, str]:
    """Return the username and password in a proxy's URL."""
    login, at, _ = url.partition("://")[2].rpartition("@")
    username, colon, password = login.partition(":")
    found = {"proxy_username": unquote(username)} if at else {}
    return found | ({"proxy_password": unquote(password)} if colon else {})


def _without_login(found: Mapping[str, Any]) -> dict[str, str]:
    if "proxy_url" not in found:
        return {}
    scheme, separator, rest = found["proxy_url"].partition("://")
    return {"proxy_url": scheme + separator + rest.rpartition("@")[2]}


def remarks(environ: Mapping[str, str]) -> Iterator[str]:
    """Tell what was found in the environment and is not heeded, in lines for the log."""
    links = [
        name
        for name, value in environ.items()
        if name.upper() in ("CAPTCHA_BYPASS_PORT", "PORT") and value.startswith(_SERVICE_LINK)
    ]
    if links:
        yield (
            f"{', '.join(links)} is ignored: it is no port but a link that the platform makes to a "
            "service of that name (Kubernetes: enableServiceLinks: false)"
        )
    host = environ.get("HOST", "")
    if host and not _is_place(host) and not environ.get("CAPTCHA_BYPASS_HOST"):
        yield "HOST is ignored: it is no IP address; use --host or CAPTCHA_BYPASS_HOST"
    # "false" and "none" ask for nothing.
    asked = [n for n in _INSTEAD if environ.get(n, "").lower() not in ("", "false", "none")]
    if asked:
        instead = "; ".join(dict.fromkeys(_INSTEAD[name] for name in asked))
        yield f"{', '.join(asked)}: no setting of this service: {instead}"


def forget_secrets(environ: MutableMapping[str, str]) -> None:
    """Take keys and passwords out, whatever their case: settings are read in any."""
    for name, value in list(environ.items()):
        if name.upper() in _SECRET or (name.upper() in _URLS and "@" in value):
            del environ[name]
