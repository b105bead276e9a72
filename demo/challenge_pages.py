"""What the pages of `challenge_site.py` contain: HTML, JavaScript and the handlers of each kind.

Nothing here knows who may see a page; no page needs an external asset or eval.
"""

import json
import math
from collections.abc import Awaitable, Callable, Iterable
from html import escape

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.Response]]

SUCCESS_TEXT = "Welcome, you are through"
CHALLENGE_TITLE = "Just a moment..."

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
{body}
</body>
</html>
"""

# SHA-256 is written out because crypto.subtle is missing outside secure contexts, and the site
# may be visited under a name that is not one. Every message is 40 bytes (challenge, puzzle
# number, nonce), so one block of 16 words always holds it, padding included.
_SOLVER = """
const K = new Uint32Array([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2]);
const W = new Int32Array(64);

// The first word of the SHA-256 of the one block in W[0..15], as an unsigned number.
function firstWord() {
  for (let i = 16; i < 64; i++) {
    const x = W[i - 15], y = W[i - 2];
    const s0 = (x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ x >>> 3;
    const s1 = (y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ y >>> 10;
    W[i] = W[i - 16] + s0 + W[i - 7] + s1 | 0;
  }
  let a = 0x6a09e667, b = 0xbb67ae85 | 0, c = 0x3c6ef372, d = 0xa54ff53a | 0;
  let e = 0x510e527f, f = 0x9b05688c | 0, g = 0x1f83d9ab, h = 0x5be0cd19;
  for (let i = 0; i < 64; i++) {
    const s1 = (e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7);
    const t1 = h + s1 + (e & f ^ ~e & g) + K[i] + W[i] | 0;
    const s0 = (a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10);
    const t2 = s0 + (a & b ^ a & c ^ b & c) | 0;
    h = g; g = f; f = e; e = d + t1 | 0; d = c; c = b; b = a; a = t1 + t2 | 0;
  }
  return a + 0x6a09e667 >>> 0;
}

// Lets the page breathe. Not setTimeout: browsers slow that down to 1 s in hidden tabs.
const channel = new MessageChannel();
function breathe() {
  return new Promise(resolve => {
    channel.port1.onmessage = resolve;
    channel.port2.postMessage(0);
  });
}

async function solve({id, puzzles, target}) {
  const nonces = [];
  let rested = performance.now();
  for (let i = 0; i < 8; i++) W[i] = parseInt(id.slice(8 * i, 8 * i + 8), 16);
  W[10] = 0x80000000; W[15] = 320;  // the padding: a one bit, zeros, the length in bits
  for (let puzzle = 0; puzzle < puzzles; puzzle++) {
    W[8] = puzzle;
    for (let nonce = 0; ; nonce++) {
      W[9] = nonce;
      if (firstWord() < target) { nonces.push(nonce); break; }
      if (nonce % 1024 === 1023 && performance.now() - rested > 50) {
        await breathe();
        rested = performance.now();
      }
    }
  }
  return nonces;
}

addEventListener("load", async () => {
  const challenge = JSON.parse(document.getElementById("challenge").textContent);
  const nonces = await solve(challenge);
  const answer = await fetch("/clearance", {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify({id: challenge.id, nonces}),
  });
  // A refused answer is followed by a fresh challenge, unhurried so as not to spin.
  if (!answer.ok) await new Promise(resolve => setTimeout(resolve, 1000));
  const again = document.getElementById("again");
  // The prototype's submit, because a field may be named "submit" and hide the form's own.
  if (again) HTMLFormElement.prototype.submit.call(again); else location.reload();
});
"""

_ENDLESS = 'addEventListener("load", () => setTimeout(() => location.reload(), 1000));'


def html_page(title: str, body: str) -> str:
    """Return a whole document; `title` is plain text, `body` is HTML."""
    return _PAGE.format(title=escape(title), body=body)


def challenge_page(
    challenge: dict[str, object] | None, form: Iterable[tuple[str, str]] | None = None
) -> str:
    """Return the page that stands in front of a guarded one.

    Args:
        challenge: What the script solves: `{"id": 64 hex digits, "puzzles": count, "target":
            bound}`; None for a page that reloads itself every second and never passes.
        form: The (name, value) pairs of a POST, which the page submits anew once cleared; None
            for a GET, which it reloads.
    """
    body = f"<h1>{CHALLENGE_TITLE}</h1>\n<p>Checking your browser. This needs JavaScript.</p>\n"
    if form is not None:
        fields = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
            for name, value in form
        )
        body += f'<form id="again" method="post">{fields}</form>\n'
    if challenge is None:
        body += f"<script>{_ENDLESS}</script>"
    else:
        data = json.dumps(challenge)
        body += f'<script id="challenge" type="application/json">{data}</script>\n'
        body += f"<script>{_SOLVER}</script>"
    return html_page(CHALLENGE_TITLE, body)


def content_page(kind: str, n: int, extra: str = "", *, heading: str = SUCCESS_TEXT) -> str:
    """Return page `n` of a `kind` ("page", "big", ...), with a link to page n+1 of that kind.

    Args:
        kind: First segment of the page's path.
        n: Number of the page.
        extra: HTML put before the heading.
        heading: Plain text of the heading; an empty one leaves it out.
    """
    title = f"<h1>{escape(heading)}</h1>\n" if heading else ""
    body = f'{title}<p id="page">Page {n}</p>\n<a id="next" href="/{kind}/{n + 1}">Next</a>'
    return html_page(f"Page {n}", f"{extra}\n{body}" if extra else body)


def filler(size: int) -> str:
    """Return at least `size` bytes of ASCII paragraphs."""
    line = "<p>The quick brown fox jumps over the lazy dog, and then does so once more.</p>\n"
    return line * -(-size // len(line))


def number(request: web.Request, name: str, default: float, most: float = 3600) -> float:
    """Return a query parameter in 0..most; anything else is answered with 400."""
    try:
        value = float(request.query.get(name, default))
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:
        raise web.HTTPBadRequest(text=f"{name} must be a number from 0 to {most:g}")
    return value


def _n(request: web.Request) -> int:
    return int(request.match_info.get("n", "0"))


def html(text: str, status: int = 200) -> web.Response:
    """Return an HTML answer."""
    return web.Response(text=text, status=status, content_type="text/html")


def content(kind: str) -> Handler:
    """Return a handler of the plain pages of this kind."""

    async def page(request: web.Request) -> web.Response:
        return html(content_page(kind, _n(request)))

    return page


async def open_handler(request: web.Request) -> web.Response:
    """Answer with a page that nothing guards, and so without the success text."""
    return html(content_page("open", _n(request), heading="Open to all"))


async def redirect_handler(request: web.Request) -> web.Response:
    """Send the cleared on to the plain page of the same number."""
    return web.Response(status=302, headers={"Location": f"/page/{_n(request)}"})


async def big_handler(request: web.Request) -> web.Response:
    """Answer with `mb` MiB of HTML and the success text at its end."""
    size = int(number(request, "mb", 2, most=64) * 2**20)
    return html(content_page("big", _n(request), filler(size)))


async def iframe_handler(request: web.Request) -> web.Response:
    """Answer with a page whose success text is only in a frame, /frame/n."""
    frame = f'<iframe src="/frame/{_n(request)}" width="600" height="300"></iframe>'
    return html(content_page("iframe", _n(request), frame, heading=""))


async def json_handler(request: web.Request) -> web.Response:
    """Answer `{"page": n, "message": success text}`."""
    return web.json_response({"page": _n(request), "message": SUCCESS_TEXT})


async def denied_handler(request: web.Request) -> web.Response:
    """Answer with a block page, which is not a challenge: nothing can be solved."""
    return html(html_page("Access denied", "<h1>Access denied</h1>"), 403)


async def post_handler(request: web.Request) -> web.Response:
    """Answer a GET with a form, and a POST with its fields as a JSON list of [name, value]."""
    extra = '<form method="post"><input name="field" value=""><button>Send</button></form>'
    if request.method == "POST":
        fields = [(name, str(value)) for name, value in (await request.post()).items()]
        extra = f'<pre id="fields">{escape(json.dumps(fields), quote=False)}</pre>'
    return html(content_page("post", _n(request), extra))


async def cookies_handler(request: web.Request) -> web.Response:
    """Answer with the request's cookies, `{name: value}`."""
    return web.json_response(dict(request.cookies))


async def headers_handler(request: web.Request) -> web.Response:
    """Answer with the request's headers, `{name: value}`; repeated ones are joined by commas."""
    names = dict.fromkeys(request.headers)
    return web.json_response({name: ", ".join(request.headers.getall(name)) for name in names})


async def favicon_handler(request: web.Request) -> web.Response:
    """Answer 204: browsers ask for it on their own."""
    return web.Response(status=204)
