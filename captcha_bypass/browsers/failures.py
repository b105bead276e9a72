"""What a browser's error text means: one table from its words to our codes."""

from __future__ import annotations

import re

from captcha_bypass.errors import TaskError, TaskErrorCode

CRASHED = "The browser died while it had this page; send the task again."

# Searched from the top in the error's text; the codes are Firefox's, as Playwright passes them on.
_TABLE: tuple[tuple[str, TaskErrorCode, str], ...] = (
    (
        r"has been closed|Connection closed|browser has disconnected|Target crashed|Page crashed",
        "browser_crashed",
        CRASHED,
    ),
    (
        r"NS_ERROR_UNKNOWN_PROXY_HOST|\bproxyResolveFailure\b",
        "proxy_error",
        "The proxy's host name cannot be resolved; check proxy.server (or --proxy-url).",
    ),
    (
        r"NS_ERROR_PROXY_|SOCKS|\bproxyConnectFailure\b",
        "proxy_error",
        "The proxy refused or cannot be reached; check its address and credentials.",
    ),
    (
        r"NS_ERROR_UNKNOWN_HOST|NS_ERROR_DNS|\bdnsNotFound\b",
        "dns_error",
        "The host name cannot be resolved; check the URL.",
    ),
    (
        r"NS_ERROR_CONNECTION_REFUSED|\bconnectionFailure\b",
        "connection_refused",
        "The site refused the connection; check host and port.",
    ),
    (
        r"NS_ERROR_(NET_(RESET|INTERRUPT|PARTIAL_TRANSFER|EMPTY_RESPONSE)|ABORT\b)|\bnet(Reset|Int)",
        "connection_reset",
        "The site broke the connection off.",
    ),
    (
        r"MODULE_SECURITY|SEC_ERROR|SSL_ERROR|MOZILLA_PKIX|\bnssFailure2\b|\bcertError\b",
        "tls_error",
        "No trusted TLS connection; check the site's certificate and the scheme.",
    ),
    (
        r"NS_ERROR_REDIRECT_LOOP|\bredirectLoop\b",
        "redirect_loop",
        "The site redirects in a circle.",
    ),
    (
        r"deniedPortAccess|NS_ERROR_PORT_ACCESS_NOT_ALLOWED",
        "blocked_address",
        "Browsers do not open this port; use the site's web port.",
    ),
    (
        r"Download is starting|NS_BINDING_ABORTED",
        "not_a_page",
        "The address answers with a download or with nothing, not with a page.",
    ),
)


def translate(error: Exception | str) -> TaskError:
    """Turn an error of Playwright into ours; the message never repeats Playwright's text.

    That text may hold URLs with tokens in them. Only Firefox's own code is passed on.
    """
    if isinstance(error, TaskError):
        return error
    text = f"{type(error).__name__}: {error}"
    for pattern, code, message in _TABLE:
        if re.search(pattern, text):
            return TaskError(code, message)
    name = re.search(r"\b(NS_ERROR_\w+|nssFailure\w*|\w+Failure)\b", text)
    return _not_opened(name.group(1) if name else "no further reason given")


def translate_page(uri: str) -> TaskError:
    """Turn the address of Firefox's own error page, such as `about:neterror?e=netReset`, into ours."""
    name = re.search(r"[?&]e=(\w{1,60})", uri)
    if name is None:
        return _not_opened("no further reason given")
    known = translate("certError" if uri.startswith("about:certerror") else name.group(1))
    return known if known.code != "navigation_error" else _not_opened(name.group(1))


def is_error_page(uri: str) -> bool:
    """Whether an address is that of a page which Firefox shows in place of one it cannot open."""
    return uri.startswith(("about:neterror", "about:certerror"))


def is_abort(failure: str) -> bool:
    """Whether a request ended because something else took its place: no error page follows."""
    return "NS_BINDING_ABORTED" in failure or "NS_ERROR_ABORT" in failure


def _not_opened(reason: str) -> TaskError:
    return TaskError("navigation_error", f"The browser could not open the page: {reason}.")
