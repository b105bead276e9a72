"""The published marks of challenges, captchas and refusals, one row each.

The comment above a row names where its mark was published. That a vendor's cookie or CDN header
is present is never a mark: normal pages carry them as well. Body rules are tried in order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["challenge", "captcha", "block"]


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """A mark in one response header."""

    vendor: str
    kind: Kind
    name: str  # lower case
    value: str  # regex, any case, matched from the start of a value
    statuses: frozenset[int] | None = None  # None: any

    def matches(self, status: int, values: list[str]) -> bool:
        """Whether one of the header's values has the mark."""
        if self.statuses is not None and status not in self.statuses:
            return False
        return any(re.match(self.value, value, re.IGNORECASE) for value in values)


@dataclass(frozen=True, slots=True)
class BodyRule:
    """A mark in the document."""

    vendor: str
    kind: Kind
    marks: tuple[str, ...]  # lower case; all must occur, a cheap test before the regex
    pattern: str | None = None  # regex on the lower-cased text
    statuses: frozenset[int] | None = None  # None: any
    in_script: bool = False  # the match must be code, not an article that quotes it

    def matches(self, status: int, text: str) -> bool:
        """Whether the lower-cased text has the mark."""
        if self.statuses is not None and status not in self.statuses:
            return False
        if not all(mark in text for mark in self.marks):
            return False
        if self.pattern is None:
            return True
        hits = re.finditer(self.pattern, text)
        return any(not self.in_script or _is_code(text, hit.start()) for hit in hits)


def _is_code(text: str, position: int) -> bool:
    return text.rfind("<script", 0, position) > text.rfind("</script", 0, position)


# Their body tells more than their header: which kind, or that it is a ban.
REFINED_BY_BODY = frozenset({"datadome"})
_CHALLENGED = frozenset({403, 429, 503})
_DENIED = frozenset({403, 429})
_AUTH = frozenset({401, 403})
_GUARDED = frozenset({403, 503})
_REDIRECT = frozenset({301, 302, 303, 307, 308})
_ERROR = frozenset(range(400, 600))
_REFUSED = frozenset({403, 405, 429, 503})  # not 401, 404: a site's own pages with its own form

HEADER_RULES = (
    # developers.cloudflare.com/cloudflare-challenges/challenge-types/challenge-pages/detect-response
    HeaderRule("cloudflare", "challenge", "cf-mitigated", r"challenge$"),
    # docs.aws.amazon.com/waf/latest/developerguide/waf-captcha-and-challenge-actions.html
    HeaderRule("aws-waf", "challenge", "x-amzn-waf-action", r"challenge$"),
    HeaderRule("aws-waf", "captcha", "x-amzn-waf-action", r"captcha$"),
    # microlinkhq/is-antibot src/providers.json; "deny" is what Vercel's firewall sends on a block
    HeaderRule("vercel", "challenge", "x-vercel-mitigated", r"challenge$"),
    HeaderRule("vercel", "block", "x-vercel-mitigated", r"deny$"),
    # is-antibot providers.json; vercel/examples lib/datadome.ts for the statuses
    HeaderRule("datadome", "challenge", "x-dd-b", r"\S", _AUTH),
    # Hyper-Solutions' examples and 0x6a69616e/kpsdk-solver: a new client is answered 429
    HeaderRule("kasada", "challenge", "x-kpsdk-ct", r"\S", frozenset({429})),
    HeaderRule("kasada", "challenge", "x-kpsdk-im", r"\S", frozenset({429})),
    # FlareSolverrSharp ChallengeDetector.cs
    HeaderRule("ddos-guard", "challenge", "server", r"ddos-guard\b", _GUARDED),
    # TecharoHQ/anubis lib/http.go: set with the challenge's UUID, and cleared (empty) afterwards;
    # the prefix is configurable, newer versions add a hash of the settings
    HeaderRule(
        "anubis",
        "challenge",
        "set-cookie",
        r"[^=;\s]*-cookie-verification(?:-[0-9a-f]{8})?=[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    ),
    # WeebDataHoarder/go-away lib/challenge/refresh/refresh.go, cmd/go-away/main.go (-path)
    HeaderRule("go-away", "challenge", "refresh", r"\d+;\s*url=\S*/\.well-known/\.[^\s?]*go-away/"),
    # EnableSecurity/wafw00f plugins/sucuri.py (seen on attacks only)
    HeaderRule("sucuri", "block", "x-sucuri-block", r"\S", _ERROR),
    # SiteGround's answers (202) as logged by several public crawlers
    HeaderRule("siteground", "challenge", "sg-captcha", r"challenge$"),
    # queueit/KnownUser.V3 connectors. A waiting room: a browser that stays is let in
    HeaderRule("queue-it", "challenge", "x-queueit-redirect", r"\S"),
    HeaderRule("queue-it", "challenge", "location", r"https?://[^/?#]*\.queue-it\.net/", _REDIRECT),
    # "unusual traffic" redirect, as handled by public search clients
    HeaderRule(
        "google", "captcha", "location", r"https?://(?:[^/?#]*\.)?google\.[^/?#]+/sorry/", _REDIRECT
    ),
)

_CLOUDFLARE_IDS = (
    "cf-challenge-running",
    "cf-please-wait",
    "challenge-spinner",
    "trk_jschal_js",
    "turnstile-wrapper",
)
_DATADOME_HOST = r"captcha-delivery\.com(?:\\?/)+"
_DDOS_GUARD = (
    "<title>ddos-guard</title>",
    "check.ddos-guard.net/check.js",
    "/.well-known/ddos-guard/",
)
_WIDGETS = (
    "g-recaptcha",
    "h-captcha",
    "cf-turnstile",
    "/recaptcha/api.js",
    "hcaptcha.com/1/api.js",
    "challenges.cloudflare.com/turnstile/",
)

BODY_RULES = (
    # FlareSolverr's html_samples, is-antibot providers.json. The path /scripts/jsd/ is on normal
    # pages (JavaScript detections) and therefore not looked for.
    BodyRule(
        "cloudflare", "challenge", ("_cf_chl_opt",), r"window\._cf_chl_opt\s*=", in_script=True
    ),
    BodyRule(
        "cloudflare",
        "challenge",
        ("/cdn-cgi/challenge-platform/h/",),
        r"src\s*=\s*[\"'][^\"']*/cdn-cgi/challenge-platform/h/\w+/orchestrate/",
    ),
    # FlareSolverr CHALLENGE_TITLES, CHALLENGE_SELECTORS; FlareSolverrSharp ChallengeDetector.cs
    BodyRule("cloudflare", "challenge", ("<title>just a moment...</title>",), None, _CHALLENGED),
    *(
        BodyRule("cloudflare", "challenge", (f'id="{name}"',), None, _CHALLENGED)
        for name in _CLOUDFLARE_IDS
    ),
    # FlareSolverr ACCESS_DENIED_TITLES, ACCESS_DENIED_SELECTORS
    BodyRule("cloudflare", "block", ("<title>attention required! | cloudflare",), None, _DENIED),
    BodyRule("cloudflare", "block", ("<title>access denied", "cloudflare"), None, _DENIED),
    BodyRule("cloudflare", "block", ("cf-error-details",), r"id=\"cf-error-details\"", _DENIED),
    BodyRule("cloudflare", "block", ("cf-code-label", "cf-error-title"), None, _DENIED),
    # Prowlarr CloudFlareDetectionService.cs (1020); its kin in Cloudflare's list of 1xxx errors
    BodyRule(
        "cloudflare",
        "block",
        ("error code: 10",),
        r"(?:^|>)\s*error code: 10(?:0[5-9]|1[0125]|20)\s*(?:<|$)",
        _DENIED,
    ),
    # docs.capsolver.com (t=bv: the exit is banned); is-antibot; DataDome's /captcha/ and
    # /interstitial/ frames, of which 'rt' names the one. JSON answers may escape the slashes.
    BodyRule(
        "datadome",
        "block",
        ("captcha-delivery.com",),
        r"(?<![a-z_])t=bv\b|[\"']t[\"']\s*:\s*[\"']bv[\"']",
        _AUTH,
    ),
    BodyRule(
        "datadome",
        "captcha",
        ("captcha-delivery.com",),
        _DATADOME_HOST + r"captcha|var dd\s*=\s*\{[\"']rt[\"']\s*:\s*[\"']c[\"']",
        _AUTH,
    ),
    BodyRule(
        "datadome",
        "challenge",
        ("captcha-delivery.com",),
        _DATADOME_HOST + r"interstitial|var dd\s*=\s*\{[\"']rt[\"']",
        _AUTH,
    ),
    # apify/crawlee-python _utils/blocked.py; wafw00f plugins/incapsula.py. A script from the same
    # path is Imperva's sensor on normal pages, only the frame is the interstitial.
    BodyRule(
        "imperva",
        "challenge",
        ("/_incapsula_resource",),
        r"<iframe\b[^<>]*\bsrc\s*=\s*[\"'][^\"']*/_incapsula_resource",
    ),
    BodyRule("imperva", "challenge", ("request unsuccessful. incapsula incident id",)),
    # docs.hypersolutions.co "Handling 428 Status Code (SEC-CPT)"
    BodyRule(
        "akamai",
        "challenge",
        ("sec-cp-challenge",),
        r"\"sec-cp-challenge\"\s*:\s*\"true\"",
        frozenset({428}),
    ),
    BodyRule("akamai", "challenge", ("/_sec/cp_challenge/",), None, frozenset({428})),
    BodyRule("akamai", "challenge", ("sec-if-cpt-container",), r"id=[\"']sec-if-cpt-container"),
    # Akamai's edge error page: reference 18 is "access denied"; raw it is written in entities
    BodyRule(
        "akamai",
        "block",
        ("edgesuite",),
        r"errors(?:\.|&#46;)edgesuite(?:\.|&#46;)net(?:/|&#47;)18(?:\.|&#46;)",
        frozenset({403}),
    ),
    BodyRule(
        "akamai",
        "block",
        ("reference", "access denied"),
        r"reference(?:\s|&#32;)(?:#|&#35;)18(?:\.|&#46;)",
        frozenset({403}),
    ),
    # PerimeterX/perimeterx-node-core lib/templates/block_template.mustache has both marks (the
    # first alone is the sensor of normal pages); docs.humansecurity.com "Advanced Blocking
    # Response" for the JSON. 429 is its rate limit, which no browser lifts.
    BodyRule("human", "captcha", ("window._pxappid", "px-captcha"), None, frozenset({403})),
    BodyRule(
        "human",
        "captcha",
        ('"appid"', '"jsclientsrc"', '"blockscript"'),
        None,
        frozenset({403}),
    ),
    # The "You are being redirected..." page, as solved by public clients; wafw00f sucuri.py
    BodyRule(
        "sucuri",
        "challenge",
        ("sucuri_cloudproxy_js",),
        r"sucuri_cloudproxy_js\s*=",
        in_script=True,
    ),
    BodyRule("sucuri", "block", ("<title>sucuri website firewall", "access denied"), None, _ERROR),
    # FlareSolverr CHALLENGE_TITLES; the scripts of its js-challenge page
    *(BodyRule("ddos-guard", "challenge", (mark,), None, _GUARDED) for mark in _DDOS_GUARD),
    # TecharoHQ/anubis web/index.templ: the error page has reject.webp and a null challenge. The
    # status is configurable, 200 by default (lib/config/config.go).
    BodyRule(
        "anubis",
        "block",
        ("/x/cmd/anubis/static/img/reject.webp",),
        r"src=\"[^\"]*/anubis/static/img/reject\.webp",
    ),
    BodyRule(
        "anubis",
        "challenge",
        ("anubis_challenge",),
        r"<script\b[^<>]*\bid=\"anubis_challenge\"[^<>]*>\s*\{",
    ),
    BodyRule(
        "anubis",
        "challenge",
        ("/.within.website/x/cmd/anubis/",),
        r"src=\"[^\"]*/\.within\.website/x/cmd/anubis/static/",
    ),
    # WeebDataHoarder/go-away embed/templates/challenge-anubis.gohtml, lib/action/deny.go
    BodyRule("go-away", "block", ("go-away</a> :: request id", "access denied: "), None, _ERROR),
    BodyRule("go-away", "challenge", ("go-away</a> :: request id",)),
    BodyRule(
        "go-away",
        "challenge",
        ("go-away/assets/static/",),
        r"(?:href|src)=\"[^\"]*/\.well-known/\.[^\"?]*go-away/assets/static/",
    ),
    # wafw00f plugins/vercel.py
    BodyRule("vercel", "challenge", ("<title>vercel security checkpoint</title>",), None, _DENIED),
    BodyRule("vercel", "challenge", ("/.well-known/vercel/security/",), None, _DENIED),
    # Hyper-Solutions' examples. p.js under the same path is on normal pages, ips.js is not.
    BodyRule(
        "kasada",
        "challenge",
        ("window.kpsdk",),
        r"window\.kpsdk\s*=\s*\{\}",
        frozenset({429}),
        in_script=True,
    ),
    BodyRule(
        "kasada",
        "challenge",
        ("/149e9513-01fa-4fb0-aad4-566afd725d1b/", "/ips.js"),
        None,
        frozenset({429}),
    ),
    # The acw_sc__v2 page as solved by public clients; xtekky/gpt4free's Qwen provider for the meta
    BodyRule(
        "aliyun",
        "challenge",
        ("var arg1",),
        r"var arg1\s*=\s*[\"'][0-9a-f]{40}[\"']",
        in_script=True,
    ),
    BodyRule("aliyun", "challenge", ("aliyun_waf_aa",), r"<meta\b[^<>]*\bname=\"aliyun_waf_aa\""),
    # The meta refresh of SiteGround's 202 page, as logged by several public crawlers
    BodyRule(
        "siteground",
        "challenge",
        ("/.well-known/sgcaptcha/",),
        r"<meta\b[^<>]*/\.well-known/sgcaptcha/",
    ),
    # curiefense/curiefense e2e tests (Reblaze's own), where it comes with status 247
    BodyRule("reblaze", "challenge", ("window.rbzns",), r"window\.rbzns\s*=\s*\{", in_script=True),
    # The form of the /sorry/ page, as handled by public search clients
    BodyRule("google", "captcha", ('id="captcha-form"', 'action="index"'), None, _CHALLENGED),
    # A saved Queue-it page; queueclient.js from the same host is on normal pages
    BodyRule(
        "queue-it",
        "challenge",
        ("queue-it.net", "data-pageid"),
        r"<body\b[^<>]*\bdata-pageid=\"(?:before|queue)\"",
    ),
    # The widgets' embed codes. Last, and on refusals only: with 200 it is the site's own form.
    *(BodyRule("captcha", "captcha", (mark,), None, _REFUSED) for mark in _WIDGETS),
)
