"""Pages and headers of all vendors, and what each is recognised as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from captcha_bypass.challenges import Kind

Headers = Mapping[str, str | Sequence[str]]
HTML = {"Content-Type": "text/html; charset=utf-8"}
JSON = {"Content-Type": "application/json;charset=utf-8"}
TEXT = {"Content-Type": "text/plain; charset=UTF-8"}
UUID = "0198f0aa-1b2c-7d3e-8f40-0123456789ab"


POSITIVES: list[tuple[str, int, Headers, str, Kind]] = [
    ("cloudflare.html", 403, HTML, "cloudflare", "automatic"),
    ("cloudflare.html", 429, HTML, "cloudflare", "automatic"),
    ("cloudflare.html", 200, HTML, "cloudflare", "automatic"),
    ("cloudflare-rendered.html", 403, HTML, "cloudflare", "automatic"),
    ("cloudflare-legacy.html", 503, HTML, "cloudflare", "automatic"),
    ("cloudflare-selector.html", 403, HTML, "cloudflare", "automatic"),
    ("cloudflare-block.html", 403, HTML, "cloudflare", "block"),
    ("cloudflare-denied.html", 403, HTML, "cloudflare", "block"),
    ("cloudflare-code-label.html", 403, HTML, "cloudflare", "block"),
    ("cloudflare-1020.txt", 403, TEXT, "cloudflare", "block"),
    ("cloudflare-1020-rendered.html", 403, TEXT, "cloudflare", "block"),
    ("datadome-captcha.html", 403, HTML, "datadome", "human"),
    ("datadome-interstitial.html", 403, HTML, "datadome", "automatic"),
    ("datadome-ban.html", 403, HTML, "datadome", "block"),
    ("datadome-captcha.html", 403, {**HTML, "x-dd-b": "2"}, "datadome", "human"),
    ("datadome-ban.html", 403, {**HTML, "x-dd-b": "2"}, "datadome", "block"),
    ("datadome.json", 403, JSON, "datadome", "human"),
    ("datadome-ban.json", 403, JSON, "datadome", "block"),
    ("imperva.html", 200, HTML, "imperva", "automatic"),
    ("imperva.html", 403, HTML, "imperva", "automatic"),
    ("imperva-text.html", 403, HTML, "imperva", "automatic"),
    ("akamai.json", 428, JSON, "akamai", "automatic"),
    ("akamai.html", 428, HTML, "akamai", "automatic"),
    ("akamai-block.html", 403, HTML, "akamai", "block"),
    ("akamai-block-rendered.html", 403, HTML, "akamai", "block"),
    ("human.html", 403, HTML, "human", "human"),
    ("human.json", 403, JSON, "human", "human"),
    ("sucuri.html", 200, HTML, "sucuri", "automatic"),
    ("sucuri.html", 307, HTML, "sucuri", "automatic"),
    ("sucuri-block.html", 403, HTML, "sucuri", "block"),
    ("ddos-guard.html", 403, HTML, "ddos-guard", "automatic"),
    ("ddos-guard.html", 503, HTML, "ddos-guard", "automatic"),
    ("anubis.html", 200, HTML, "anubis", "automatic"),
    ("anubis.html", 401, HTML, "anubis", "automatic"),
    ("anubis-metarefresh.html", 200, HTML, "anubis", "automatic"),
    ("anubis-block.html", 200, HTML, "anubis", "block"),
    ("go-away.html", 418, HTML, "go-away", "automatic"),
    ("go-away-custom-path.html", 200, HTML, "go-away", "automatic"),
    ("go-away-block.html", 403, HTML, "go-away", "block"),
    ("vercel.html", 429, HTML, "vercel", "automatic"),
    ("vercel-script.html", 403, HTML, "vercel", "automatic"),
    ("kasada.html", 429, HTML, "kasada", "automatic"),
    ("kasada-script.html", 429, HTML, "kasada", "automatic"),
    ("aliyun.html", 200, HTML, "aliyun", "automatic"),
    ("aliyun-meta.html", 200, HTML, "aliyun", "automatic"),
    ("siteground.html", 202, HTML, "siteground", "automatic"),
    ("reblaze.html", 247, HTML, "reblaze", "automatic"),
    ("google.html", 429, HTML, "google", "human"),
    ("queue-it.html", 200, HTML, "queue-it", "automatic"),
    ("captcha.html", 403, HTML, "captcha", "human"),
    ("normal-login-recaptcha.html", 429, HTML, "captcha", "human"),
]

HEADER_VERDICTS: list[tuple[int, Headers, str, Kind]] = [
    (403, {"cf-mitigated": "challenge"}, "cloudflare", "automatic"),
    (429, {"cf-mitigated": "challenge"}, "cloudflare", "automatic"),
    (202, {"x-amzn-waf-action": "challenge"}, "aws-waf", "automatic"),
    (405, {"x-amzn-waf-action": "captcha"}, "aws-waf", "human"),
    (429, {"x-vercel-mitigated": "challenge"}, "vercel", "automatic"),
    (403, {"x-vercel-mitigated": "deny"}, "vercel", "block"),
    (403, {"x-dd-b": "1"}, "datadome", "automatic"),
    (429, {"x-kpsdk-ct": "x"}, "kasada", "automatic"),
    (429, {"x-kpsdk-im": "x"}, "kasada", "automatic"),
    (403, {"server": "ddos-guard"}, "ddos-guard", "automatic"),
    (403, {"x-sucuri-block": "FBP007"}, "sucuri", "block"),
    (202, {"sg-captcha": "challenge"}, "siteground", "automatic"),
    (200, {"x-queueit-redirect": "https%3A%2F%2Fx.queue-it.net"}, "queue-it", "automatic"),
    (302, {"location": "https://shop.queue-it.net/?c=shop&e=sale"}, "queue-it", "automatic"),
    (302, {"location": "https://www.google.com/sorry/index?continue=x"}, "google", "human"),
    (
        200,
        {"refresh": "0; url=https://git.example/.well-known/.go-away/cmd/x/verify-challenge?a=b"},
        "go-away",
        "automatic",
    ),
    (
        200,
        {"set-cookie": f"techaro.lol-anubis-cookie-verification-0a1b2c3d={UUID}; Path=/"},
        "anubis",
        "automatic",
    ),
]
