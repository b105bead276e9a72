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
    ("cloudflare.html", 403, HTML, "cloudflare", "challenge"),
    ("cloudflare.html", 429, HTML, "cloudflare", "challenge"),
    ("cloudflare.html", 200, HTML, "cloudflare", "challenge"),
    ("cloudflare-rendered.html", 403, HTML, "cloudflare", "challenge"),
    ("cloudflare-legacy.html", 503, HTML, "cloudflare", "challenge"),
    ("cloudflare-selector.html", 403, HTML, "cloudflare", "challenge"),
    ("cloudflare-block.html", 403, HTML, "cloudflare", "block"),
    ("cloudflare-denied.html", 403, HTML, "cloudflare", "block"),
    ("cloudflare-code-label.html", 403, HTML, "cloudflare", "block"),
    ("cloudflare-1020.txt", 403, TEXT, "cloudflare", "block"),
    ("cloudflare-1020-rendered.html", 403, TEXT, "cloudflare", "block"),
    ("datadome-captcha.html", 403, HTML, "datadome", "captcha"),
    ("datadome-interstitial.html", 403, HTML, "datadome", "challenge"),
    ("datadome-ban.html", 403, HTML, "datadome", "block"),
    ("datadome-captcha.html", 403, {**HTML, "x-dd-b": "2"}, "datadome", "captcha"),
    ("datadome-ban.html", 403, {**HTML, "x-dd-b": "2"}, "datadome", "block"),
    ("datadome.json", 403, JSON, "datadome", "captcha"),
    ("datadome-ban.json", 403, JSON, "datadome", "block"),
    ("imperva.html", 200, HTML, "imperva", "challenge"),
    ("imperva.html", 403, HTML, "imperva", "challenge"),
    ("imperva-text.html", 403, HTML, "imperva", "challenge"),
    ("akamai.json", 428, JSON, "akamai", "challenge"),
    ("akamai.html", 428, HTML, "akamai", "challenge"),
    ("akamai-block.html", 403, HTML, "akamai", "block"),
    ("akamai-block-rendered.html", 403, HTML, "akamai", "block"),
    ("human.html", 403, HTML, "human", "captcha"),
    ("human.json", 403, JSON, "human", "captcha"),
    ("sucuri.html", 200, HTML, "sucuri", "challenge"),
    ("sucuri.html", 307, HTML, "sucuri", "challenge"),
    ("sucuri-block.html", 403, HTML, "sucuri", "block"),
    ("ddos-guard.html", 403, HTML, "ddos-guard", "challenge"),
    ("ddos-guard.html", 503, HTML, "ddos-guard", "challenge"),
    ("anubis.html", 200, HTML, "anubis", "challenge"),
    ("anubis.html", 401, HTML, "anubis", "challenge"),
    ("anubis-metarefresh.html", 200, HTML, "anubis", "challenge"),
    ("anubis-block.html", 200, HTML, "anubis", "block"),
    ("go-away.html", 418, HTML, "go-away", "challenge"),
    ("go-away-custom-path.html", 200, HTML, "go-away", "challenge"),
    ("go-away-block.html", 403, HTML, "go-away", "block"),
    ("vercel.html", 429, HTML, "vercel", "challenge"),
    ("vercel-script.html", 403, HTML, "vercel", "challenge"),
    ("kasada.html", 429, HTML, "kasada", "challenge"),
    ("kasada-script.html", 429, HTML, "kasada", "challenge"),
    ("aliyun.html", 200, HTML, "aliyun", "challenge"),
    ("aliyun-meta.html", 200, HTML, "aliyun", "challenge"),
    ("siteground.html", 202, HTML, "siteground", "challenge"),
    ("reblaze.html", 247, HTML, "reblaze", "challenge"),
    ("google.html", 429, HTML, "google", "captcha"),
    ("queue-it.html", 200, HTML, "queue-it", "challenge"),
    ("captcha.html", 403, HTML, "captcha", "captcha"),
    ("normal-login-recaptcha.html", 429, HTML, "captcha", "captcha"),
]

HEADER_VERDICTS: list[tuple[int, Headers, str, Kind]] = [
    (403, {"cf-mitigated": "challenge"}, "cloudflare", "challenge"),
    (429, {"cf-mitigated": "challenge"}, "cloudflare", "challenge"),
    (202, {"x-amzn-waf-action": "challenge"}, "aws-waf", "challenge"),
    (405, {"x-amzn-waf-action": "captcha"}, "aws-waf", "captcha"),
    (429, {"x-vercel-mitigated": "challenge"}, "vercel", "challenge"),
    (403, {"x-vercel-mitigated": "deny"}, "vercel", "block"),
    (403, {"x-dd-b": "1"}, "datadome", "challenge"),
    (429, {"x-kpsdk-ct": "x"}, "kasada", "challenge"),
    (429, {"x-kpsdk-im": "x"}, "kasada", "challenge"),
    (403, {"server": "ddos-guard"}, "ddos-guard", "challenge"),
    (403, {"x-sucuri-block": "FBP007"}, "sucuri", "block"),
    (202, {"sg-captcha": "challenge"}, "siteground", "challenge"),
    (200, {"x-queueit-redirect": "https%3A%2F%2Fx.queue-it.net"}, "queue-it", "challenge"),
    (302, {"location": "https://shop.queue-it.net/?c=shop&e=sale"}, "queue-it", "challenge"),
    (302, {"location": "https://www.google.com/sorry/index?continue=x"}, "google", "captcha"),
    (
        200,
        {"refresh": "0; url=https://git.example/.well-known/.go-away/cmd/x/verify-challenge?a=b"},
        "go-away",
        "challenge",
    ),
    (
        200,
        {"set-cookie": f"techaro.lol-anubis-cookie-verification-0a1b2c3d={UUID}; Path=/"},
        "anubis",
        "challenge",
    ),
]
