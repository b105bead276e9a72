"""What is known of each vendor: marks of its challenges in headers and documents, and its cookies.

The comment above a row names where its mark was published. That a vendor's cookie or CDN header is
present is never a mark: normal pages carry them as well. A mark in a document that counts with any
status must stand where a browser acts on it, so that an article about challenges is none. Rules are
tried in order.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from captcha_bypass.challenges.headers import (
    HeaderRule,
    anubis_cookie,
    begins_with,
    given,
    go_away_refresh,
    google_sorry,
    host_below,
    is_word,
)
from captcha_bypass.challenges.marks import (
    BodyRule,
    akamai_reference,
    aliyun_argument,
    anubis_task,
    attribute_has,
    attribute_is,
    cloudflare_error,
    cloudflare_script,
    code_sets,
    datadome_ban,
    datadome_frame,
    first_words,
    go_away_asset,
    in_markup,
    text_has,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    HeaderRule("cloudflare", "automatic", "cf-mitigated", is_word("challenge")),
    # docs.aws.amazon.com/waf/latest/developerguide/waf-captcha-and-challenge-actions.html
    HeaderRule("aws-waf", "automatic", "x-amzn-waf-action", is_word("challenge")),
    HeaderRule("aws-waf", "human", "x-amzn-waf-action", is_word("captcha")),
    # microlinkhq/is-antibot src/providers.json; "deny" is what Vercel's firewall sends on a block
    HeaderRule("vercel", "automatic", "x-vercel-mitigated", is_word("challenge")),
    HeaderRule("vercel", "block", "x-vercel-mitigated", is_word("deny")),
    # is-antibot providers.json; vercel/examples lib/datadome.ts for the statuses
    HeaderRule("datadome", "automatic", "x-dd-b", given, _AUTH),
    # Hyper-Solutions' examples and 0x6a69616e/kpsdk-solver: a new client is answered 429
    HeaderRule("kasada", "automatic", "x-kpsdk-ct", given, frozenset({429})),
    HeaderRule("kasada", "automatic", "x-kpsdk-im", given, frozenset({429})),
    # FlareSolverrSharp ChallengeDetector.cs
    HeaderRule("ddos-guard", "automatic", "server", begins_with("ddos-guard"), _GUARDED),
    # TecharoHQ/anubis lib/http.go: set with the challenge's UUID, and cleared (empty) afterwards;
    # the prefix is configurable, newer versions add a hash of the settings
    HeaderRule("anubis", "automatic", "set-cookie", anubis_cookie),
    # WeebDataHoarder/go-away lib/challenge/refresh/refresh.go, cmd/go-away/main.go (-path)
    HeaderRule("go-away", "automatic", "refresh", go_away_refresh),
    # EnableSecurity/wafw00f plugins/sucuri.py (seen on attacks only)
    HeaderRule("sucuri", "block", "x-sucuri-block", given, _ERROR),
    # SiteGround's answers (202) as logged by several public crawlers
    HeaderRule("siteground", "automatic", "sg-captcha", is_word("challenge")),
    # queueit/KnownUser.V3 connectors. A waiting room: a browser that stays is let in
    HeaderRule("queue-it", "automatic", "x-queueit-redirect", given),
    HeaderRule("queue-it", "automatic", "location", host_below(".queue-it.net"), _REDIRECT),
    # "unusual traffic" redirect, as handled by public search clients
    HeaderRule("google", "human", "location", google_sorry, _REDIRECT),
)

#: Names of the cookies by which a vendor knows a visitor that has passed, `*` standing for any
#: characters. A vendor without a row leaves that to the site's own session.
CLEARANCE_COOKIES: Mapping[str, tuple[str, ...]] = {
    "cloudflare": ("cf_clearance", "__cf_bm", "_cfuvid", "cf_chl_*"),
    "datadome": ("datadome",),
    "aws-waf": ("aws-waf-token",),
    "imperva": ("incap_ses_*", "visid_incap_*", "nlbi_*", "reese84", "___utmvc"),
    "akamai": ("_abck", "bm_*", "ak_bmsc", "sec_cpt"),
    "human": ("_px*", "pxcts"),
    "ddos-guard": ("__ddg*",),
    "sucuri": ("sucuri_cloudproxy_uuid_*",),
    "anubis": ("*-anubis-auth*", "*-anubis-cookie-*"),
    "go-away": (".go-away-*",),
    "kasada": ("KP_*", "tkrm_*"),
}


def is_clearance(name: str, vendor: str | None = None) -> bool:
    """Whether a cookie is a clearance of this vendor's, or of any."""
    vendors = CLEARANCE_COOKIES if vendor is None else (vendor,)
    patterns = (pattern for one in vendors for pattern in CLEARANCE_COOKIES.get(one, ()))
    return any(fnmatchcase(name, pattern) for pattern in patterns)


_CLOUDFLARE_IDS = (
    "cf-challenge-running",
    "cf-please-wait",
    "challenge-spinner",
    "trk_jschal_js",
    "turnstile-wrapper",
)
_IMPERVA = "request unsuccessful. incapsula incident id"
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
    BodyRule("cloudflare", "automatic", ("_cf_chl_opt",), code_sets("window._cf_chl_opt")),
    BodyRule("cloudflare", "automatic", ("/cdn-cgi/challenge-platform/h/",), cloudflare_script),
    # FlareSolverr CHALLENGE_TITLES, CHALLENGE_SELECTORS; FlareSolverrSharp ChallengeDetector.cs
    BodyRule("cloudflare", "automatic", ("<title>just a moment...</title>",), None, _CHALLENGED),
    *(
        BodyRule("cloudflare", "automatic", (f'id="{name}"',), None, _CHALLENGED)
        for name in _CLOUDFLARE_IDS
    ),
    # FlareSolverr ACCESS_DENIED_TITLES, ACCESS_DENIED_SELECTORS
    BodyRule("cloudflare", "block", ("<title>attention required! | cloudflare",), None, _DENIED),
    BodyRule("cloudflare", "block", ("<title>access denied", "cloudflare"), None, _DENIED),
    BodyRule("cloudflare", "block", ('id="cf-error-details"',), None, _DENIED),
    BodyRule("cloudflare", "block", ("cf-code-label", "cf-error-title"), None, _DENIED),
    # Prowlarr CloudFlareDetectionService.cs (1020); its kin in Cloudflare's list of 1xxx errors
    BodyRule("cloudflare", "block", ("error code: 10",), cloudflare_error, _DENIED),
    # docs.capsolver.com (t=bv: the address is banned); is-antibot; DataDome's /captcha/ and
    # /interstitial/ frames, of which 'rt' names the one. JSON answers may escape the slashes.
    BodyRule("datadome", "block", ("captcha-delivery.com",), datadome_ban, _AUTH),
    BodyRule(
        "datadome",
        "human",
        ("captcha-delivery.com",),
        datadome_frame("captcha", ":", ('"c"', "'c'")),
        _AUTH,
    ),
    BodyRule(
        "datadome", "automatic", ("captcha-delivery.com",), datadome_frame("interstitial"), _AUTH
    ),
    # apify/crawlee-python _utils/blocked.py; wafw00f plugins/incapsula.py. A script from the same
    # path is Imperva's sensor on normal pages, only the frame is the interstitial.
    BodyRule(
        "imperva",
        "automatic",
        ("/_incapsula_resource",),
        attribute_has("/_incapsula_resource", "src", tag="iframe"),
    ),
    BodyRule("imperva", "automatic", (_IMPERVA,), None, _REFUSED),
    BodyRule("imperva", "automatic", (_IMPERVA,), first_words(_IMPERVA)),
    # docs.hypersolutions.co "Handling 428 Status Code (SEC-CPT)"
    BodyRule(
        "akamai",
        "automatic",
        ("sec-cp-challenge",),
        text_has('"sec-cp-challenge"', ":", '"true"'),
        frozenset({428}),
    ),
    BodyRule("akamai", "automatic", ("/_sec/cp_challenge/",), None, frozenset({428})),
    BodyRule(
        "akamai",
        "automatic",
        ("sec-if-cpt-container",),
        attribute_has("sec-if-cpt-container", "id"),
    ),
    # Akamai's edge error page: reference 18 is "access denied"; raw it is written in entities
    BodyRule("akamai", "block", ("edgesuite",), akamai_reference, frozenset({403})),
    BodyRule("akamai", "block", ("reference", "access denied"), akamai_reference, frozenset({403})),
    # PerimeterX/perimeterx-node-core lib/templates/block_template.mustache has both marks (the
    # first alone is the sensor of normal pages); docs.humansecurity.com "Advanced Blocking
    # Response" for the JSON. 429 is its rate limit, which no browser lifts.
    BodyRule("human", "human", ("window._pxappid", "px-captcha"), None, frozenset({403})),
    BodyRule(
        "human",
        "human",
        ('"appid"', '"jsclientsrc"', '"blockscript"'),
        None,
        frozenset({403}),
    ),
    # The "You are being redirected..." page, as solved by public clients; wafw00f sucuri.py
    BodyRule("sucuri", "automatic", ("sucuri_cloudproxy_js",), code_sets("sucuri_cloudproxy_js")),
    BodyRule("sucuri", "block", ("<title>sucuri website firewall", "access denied"), None, _ERROR),
    # FlareSolverr CHALLENGE_TITLES; the scripts of its js-challenge page
    *(BodyRule("ddos-guard", "automatic", (mark,), None, _GUARDED) for mark in _DDOS_GUARD),
    # TecharoHQ/anubis web/index.templ: the error page has reject.webp and a null challenge. The
    # status is configurable, 200 by default (lib/config/config.go).
    BodyRule(
        "anubis",
        "block",
        ("/x/cmd/anubis/static/img/reject.webp",),
        attribute_has("/anubis/static/img/reject.webp", "src"),
    ),
    BodyRule("anubis", "automatic", ("anubis_challenge",), anubis_task),
    BodyRule(
        "anubis",
        "automatic",
        ("/.within.website/x/cmd/anubis/",),
        attribute_has("/.within.website/x/cmd/anubis/static/", "src"),
    ),
    # WeebDataHoarder/go-away embed/templates/challenge-anubis.gohtml, lib/action/deny.go
    BodyRule("go-away", "block", ("go-away</a> :: request id", "access denied: "), None, _ERROR),
    BodyRule(
        "go-away",
        "automatic",
        ("go-away</a> :: request id",),
        in_markup("go-away</a> :: request id"),
    ),
    BodyRule("go-away", "automatic", ("go-away/assets/static/",), go_away_asset),
    # wafw00f plugins/vercel.py
    BodyRule("vercel", "automatic", ("<title>vercel security checkpoint</title>",), None, _DENIED),
    BodyRule("vercel", "automatic", ("/.well-known/vercel/security/",), None, _DENIED),
    # Hyper-Solutions' examples. p.js under the same path is on normal pages, ips.js is not.
    BodyRule(
        "kasada",
        "automatic",
        ("window.kpsdk",),
        code_sets("window.kpsdk", "{", "}"),
        frozenset({429}),
    ),
    BodyRule(
        "kasada",
        "automatic",
        ("/149e9513-01fa-4fb0-aad4-566afd725d1b/", "/ips.js"),
        None,
        frozenset({429}),
    ),
    # The acw_sc__v2 page as solved by public clients; xtekky/gpt4free's Qwen provider for the meta
    BodyRule("aliyun", "automatic", ("var arg1",), aliyun_argument),
    BodyRule(
        "aliyun", "automatic", ("aliyun_waf_aa",), attribute_is("name", "aliyun_waf_aa", tag="meta")
    ),
    # The meta refresh of SiteGround's 202 page, as logged by several public crawlers
    BodyRule(
        "siteground",
        "automatic",
        ("/.well-known/sgcaptcha/",),
        attribute_has("/.well-known/sgcaptcha/", "content", tag="meta"),
    ),
    # curiefense/curiefense e2e tests (Reblaze's own), where it comes with status 247
    BodyRule("reblaze", "automatic", ("window.rbzns",), code_sets("window.rbzns", "{")),
    # The form of the /sorry/ page, as handled by public search clients
    BodyRule("google", "human", ('id="captcha-form"', 'action="index"'), None, _CHALLENGED),
    # A saved Queue-it page; queueclient.js from the same host is on normal pages
    BodyRule(
        "queue-it",
        "automatic",
        ("queue-it.net", "data-pageid"),
        attribute_is("data-pageid", "before", "queue", tag="body"),
    ),
    # The widgets' embed codes. Last, and on refusals only: with 200 it is the site's own form.
    *(BodyRule("captcha", "human", (mark,), None, _REFUSED) for mark in _WIDGETS),
)
