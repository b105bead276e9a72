"""The checked strings of the wire format: URLs, header names and values, cookies.

No message repeats the refused value, which may be a secret.
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, AnyUrl, Field, SecretStr, TypeAdapter, ValidationError

from captcha_bypass.wire.text import fold

#: Longest URL taken, in characters: the length browsers and servers agree on.
MAX_URL_CHARS = 2048
#: Longest username or password of a SOCKS5 proxy (RFC 1929, section 2).
SOCKS_BYTES = 255
#: For the description only: what passes is decided by parsing as browsers do.
PAGE_URL = r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#@\\]+([/?#]\S*)?$"
PROXY_SERVER = r"^(https?|socks5)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[1-9][0-9]{0,4}/?$"
#: RFC 9110 section 5.6.2, `token`.
HEADER_NAME = r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$"
#: What browsers keep (RFC 6265bis section 5.6), so that any result's cookies can be given back.
COOKIE_NAME = r"^[^\x00-\x20\x7f;=]([^\x00-\x1f\x7f;=]*[^\x00-\x20\x7f;=])?$"
COOKIE_DOMAIN = r"^\.?[^\s/;:@]+$|^\[[0-9A-Fa-f:.]+\]$"
COOKIE_PATH = r"^/[^;\x00-\x1f\x7f]*$"
SESSION_NAME = r"^[^\x00-\x1f\x7f]+$"
#: Headers the browser or the contract owns; a caller's own value would break one of them.
OWNED_HEADERS = frozenset(
    {"cookie", "host", "user-agent", "connection", "content-length", "transfer-encoding", "te"}
    | {"trailer", "upgrade", "proxy-authorization", "proxy-connection"}
)

_any_url = TypeAdapter(AnyUrl)


def host_of(url: str) -> str:
    """Return the host of a URL, in lower case; an IPv6 address in brackets, as it stands there."""
    host = urlsplit(url).hostname or ""
    return f"[{host}]" if ":" in host else host


def _parse_url(value: str, schemes: tuple[str, ...]) -> AnyUrl:
    """Parse as browsers do; the error never repeats the value, which may hold a password."""
    if any(char <= " " or char == "\x7f" for char in value):
        raise ValueError("must not contain spaces or control characters")
    try:
        url = _any_url.validate_python(value)
    except ValidationError as error:
        raise ValueError(error.errors(include_input=False)[0]["msg"]) from None
    if url.scheme not in schemes:
        raise ValueError(f"the scheme must be one of {', '.join(schemes)}")
    # Browsers also read `http:host` and `http:///host`; whoever writes that lost a part.
    if not url.host or not re.match(r"[^:]+://[^/\\?#]", value):
        raise ValueError(f"must be {schemes[0]}://host..., the host is missing")
    return url


def check_url(value: str) -> AnyUrl:
    """Return a URL of http or https, taken apart.

    Raises:
        ValueError: it is none.
    """
    return _parse_url(value, ("http", "https"))


def _page_url(value: str) -> str:
    url = check_url(value)
    if url.username is not None or url.password is not None or "@" in urlsplit(value).netloc:
        raise ValueError("must not contain user:password; send an Authorization header instead")
    normalised = str(url)
    # Percent-encoding can lengthen it past the limit; the browser does the same by itself.
    return normalised if len(normalised) <= MAX_URL_CHARS else value


def _proxy_server(value: str) -> str:
    url = _parse_url(value, ("http", "https", "socks5"))
    if url.username is not None or url.password is not None:
        raise ValueError("must not contain user:password; give username and password apart")
    # Not `url.port` alone: it is the scheme's default where none was given.
    port = urlsplit(value).port
    if not port:
        raise ValueError("must be scheme://host:port, the port is missing")
    if (url.path or "/") != "/" or url.query or url.fragment:
        raise ValueError("must be scheme://host:port and nothing more")
    return f"{url.scheme}://{url.host}:{port}"


def checked_username(username: str | None, server: str | None) -> str | None:
    """Return a proxy's username if the proxy's scheme can carry it."""
    if username is not None:
        _check_for_socks(username, server)
    return username


def checked_password(
    password: SecretStr | None, username: str | None, server: str | None
) -> SecretStr | None:
    """Return a proxy's password if it has a username, and the proxy's scheme can carry it."""
    if password is not None and username is None:
        raise ValueError("needs a username beside it")
    if password is not None:
        _check_for_socks(password.get_secret_value(), server)
    return password


def _check_for_socks(text: str, server: str | None) -> None:
    fits = text.isascii() and 0 < len(text) <= SOCKS_BYTES
    if (server or "").startswith("socks5:") and not fits:
        raise ValueError(f"must be 1 to {SOCKS_BYTES} ASCII characters for a socks5 proxy")


def matching(pattern: str, message: str) -> AfterValidator:
    """Check a pattern as pydantic does, but say what would be right instead of the pattern."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(message)
        return value

    return AfterValidator(check)


def _header_value(value: str) -> str:
    if re.search(r"[^\t\x20-\x7e\x80-\xff]", value):
        raise ValueError("must be Latin-1 text without control characters")
    return value


def _cookie_value(value: str) -> str:
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f;]", value):
        raise ValueError("must not contain control characters or semicolons")
    return value


def _header_name(value: str) -> str:
    if value.lower() in OWNED_HEADERS:
        raise ValueError("is set by the browser; cookies have a field of their own")
    return value


def _visible(value: str) -> str:
    if not fold(value):
        raise ValueError("must contain more than white space")
    return value


PageUrl = Annotated[
    str,
    Field(max_length=MAX_URL_CHARS, json_schema_extra={"format": "uri", "pattern": PAGE_URL}),
    AfterValidator(_page_url),
]
ProxyServer = Annotated[
    str,
    Field(max_length=MAX_URL_CHARS, json_schema_extra={"pattern": PROXY_SERVER}),
    AfterValidator(_proxy_server),
]
#: Text that is more than white space.
VisibleText = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_visible)]
HeaderName = Annotated[
    str,
    Field(max_length=256, json_schema_extra={"pattern": HEADER_NAME}),
    matching(HEADER_NAME, "is not a header name"),
    AfterValidator(_header_name),
]
HeaderValue = Annotated[str, Field(max_length=8192), AfterValidator(_header_value)]
CookieName = Annotated[
    str,
    Field(max_length=4096, json_schema_extra={"pattern": COOKIE_NAME}),
    matching(COOKIE_NAME, "must be a name without blanks around it, control characters, = or ;"),
]
CookieValue = Annotated[str, Field(max_length=4096, repr=False), AfterValidator(_cookie_value)]
CookieDomain = Annotated[str, Field(max_length=255), matching(COOKIE_DOMAIN, "must be a host name")]
#: Any text a path segment can carry.
SessionName = Annotated[
    str,
    Field(max_length=128, json_schema_extra={"pattern": SESSION_NAME}),
    matching(SESSION_NAME, "must be a name without control characters"),
]
CookiePath = Annotated[
    str,
    Field(max_length=1024, json_schema_extra={"pattern": COOKIE_PATH}),
    matching(COOKIE_PATH, "must start with / and have no ;"),
]
