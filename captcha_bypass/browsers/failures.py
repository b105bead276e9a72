"""What a browser's error text means: one table from its words to our codes."""

from __future__ import annotations

import logging

from playwright.async_api import Error

from captcha_bypass.errors import TaskError, TaskErrorCode

#: Characters of the browser's text that are looked at: URLs in it are as long as a site likes.
_TEXT = 4096
_NO_REASON = "no further reason given"
#: The longest name of a failure that is passed on.
_NAME = 60
CRASHED = "The browser died while it had this page; send the task again."
PORT_BLOCKED = "Browsers do not open this port; use the site's web port."
#: The site has answered with an error status and with what Firefox would otherwise download.
_FILE_REFUSED = "NS_ERROR_NET_ERROR_RESPONSE"
_FILE = ("Download is starting", _FILE_REFUSED)
NOT_A_PAGE = "The address answers with a download or with nothing, not with a page."

# Searched from the top in the error's text; the codes are Firefox's, as Playwright passes them on.
_TABLE: tuple[tuple[tuple[str, ...], TaskErrorCode, str], ...] = (
    (
        (
            "has been closed",
            "Connection closed",
            "browser has disconnected",
            "Target crashed",
            "Page crashed",
        ),
        "browser_crashed",
        CRASHED,
    ),
    (
        (
            "NS_ERROR_UNKNOWN_PROXY_HOST",
            "proxyResolveFailure",
        ),
        "proxy_error",
        "The proxy's host name cannot be resolved; check proxy.server (or --proxy-url).",
    ),
    (
        (
            "NS_ERROR_PROXY_",
            "SOCKS",
            "proxyConnectFailure",
        ),
        "proxy_error",
        "The proxy refused or cannot be reached; check its address and credentials.",
    ),
    (
        (
            "NS_ERROR_UNKNOWN_HOST",
            "NS_ERROR_DNS",
            "dnsNotFound",
        ),
        "dns_error",
        "The host name cannot be resolved; check the URL.",
    ),
    (
        (
            "NS_ERROR_CONNECTION_REFUSED",
            "connectionFailure",
        ),
        "connection_refused",
        "The site refused the connection; check host and port.",
    ),
    (
        (
            "NS_ERROR_NET_RESET",
            "NS_ERROR_NET_INTERRUPT",
            "NS_ERROR_NET_PARTIAL_TRANSFER",
            "NS_ERROR_NET_EMPTY_RESPONSE",
            "NS_ERROR_ABORT",
            "netReset",
            "netInt",
        ),
        "connection_reset",
        "The site broke the connection off.",
    ),
    (
        (
            "MODULE_SECURITY",
            "SEC_ERROR",
            "SSL_ERROR",
            "MOZILLA_PKIX",
            "nssFailure2",
            "certError",
        ),
        "tls_error",
        "No trusted TLS connection; check the site's certificate and the scheme.",
    ),
    (
        (
            "NS_ERROR_REDIRECT_LOOP",
            "redirectLoop",
        ),
        "redirect_loop",
        "The site redirects in a circle.",
    ),
    (
        (
            "deniedPortAccess",
            "NS_ERROR_PORT_ACCESS_NOT_ALLOWED",
        ),
        "blocked_address",
        PORT_BLOCKED,
    ),
    (
        (
            *_FILE,
            "NS_BINDING_ABORTED",
        ),
        "not_a_page",
        NOT_A_PAGE,
    ),
)


def translate(error: Exception | str) -> TaskError:
    """Turn an error of Playwright into ours; the message never repeats Playwright's text.

    That text may hold URLs with tokens in them. Only Firefox's own code is passed on.
    """
    if isinstance(error, TaskError):
        return error
    text = f"{type(error).__name__}: {error}"[:_TEXT]
    for signs, code, message in _TABLE:
        if any(sign in text for sign in signs):
            return TaskError(code, message)
    words = (word.strip(".,:;()\"'") for word in text.split())
    return _not_opened(next(filter(_is_code, words), _NO_REASON))


def translate_page(uri: str) -> TaskError:
    """Turn the address of Firefox's own error page, such as `about:neterror?e=netReset`, into ours."""
    fields = (field.partition("=") for field in uri[:_TEXT].partition("?")[2].split("&"))
    name = next((value for key, _, value in fields if key == "e"), "")
    if name == "serverError":
        return translate(_FILE_REFUSED)
    if not _is_name(name):
        return _not_opened(_NO_REASON)
    known = translate("certError" if uri.startswith("about:certerror") else name)
    return known if known.code != "navigation_error" else _not_opened(name)


def is_file(error: str) -> bool:
    """Whether an answer became no document because it is a file."""
    return any(text in error for text in _FILE)


def is_error_page(uri: str) -> bool:
    """Whether an address is that of a page which Firefox shows in place of one it cannot open."""
    return uri.startswith(("about:neterror", "about:certerror"))


def is_abort(failure: str) -> bool:
    """Whether a request ended because something else took its place: no error page follows."""
    return "NS_BINDING_ABORTED" in failure or "NS_ERROR_ABORT" in failure


def not_about_given_up_calls(record: logging.LogRecord) -> bool:
    """Filter of asyncio's log: what a call of Playwright ends with that nobody waits for any more."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, Error) and record.getMessage().startswith("Future exception"))


def _is_code(word: str) -> bool:
    """Whether it is one of Firefox's own codes, and nothing that a site has written."""
    named = word.startswith(("NS_ERROR_", "nssFailure")) or word.endswith("Failure")
    return named and _is_name(word)


def _is_name(word: str) -> bool:
    return 0 < len(word) <= _NAME and word.isascii() and word.isidentifier()


def _not_opened(reason: str) -> TaskError:
    return TaskError("navigation_error", f"The browser could not open the page: {reason}.")
