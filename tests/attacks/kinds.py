"""The ways in which a page can make its browser open a connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Kind:
    """One way; `script` is JavaScript for a function of a URL that tries it there.

    The function uses the helpers of `attack.js` and returns a promise that is settled when the
    attempt is over.
    """

    script: str
    #: What shows that it got there: its name in a path (`http`); somebody at a port of its own
    #: (`tcp`, `udp`); or that the target's name was looked up (`dns`), which tells the owner of
    #: the name server something.
    trace: Literal["http", "tcp", "udp", "dns"] = "http"
    #: Whether the page can aim it at its own site too, which shows that it was really tried.
    control: bool = True
    #: Whether it needs a secure context; http on loopback is one, http elsewhere is not.
    secure: bool = False


def _element(tag: str, attribute: str, **more: str) -> Kind:
    attributes = "".join(f", {name}: {value!r}" for name, value in more.items())
    return Kind(f"url => element('{tag}', {{{attribute}: url{attributes}}})")


def _ice(server: str, trace: Literal["tcp", "udp", "dns"]) -> Kind:
    return Kind(
        f"url => {{ const {{host}} = new URL(url); return ice(`{server}`) }}", trace, control=False
    )


def _style(rule: str) -> Kind:
    return Kind(f"url => {{ html(`<style>{rule}</style>`); return asked(url); }}")


KINDS: dict[str, Kind] = {
    "fetch": Kind("url => fetch(url).then(keep)"),
    "fetch-preflight": Kind("url => fetch(url, {method: 'PUT', headers: {'X-A': 'b'}}).then(keep)"),
    "fetch-no-cors": Kind("url => fetch(url, {mode: 'no-cors'})"),
    "fetch-redirected": Kind("url => fetch(hop(url)).then(keep)"),
    "fetch-keepalive": Kind("url => fetch(url, {keepalive: true}).then(keep)"),
    "fetch-port": Kind("url => fetch(url).then(keep)", "tcp", control=False),
    "xhr": Kind("""url => new Promise((done, fail) => {
      const xhr = new XMLHttpRequest();
      xhr.onload = () => done(keep(xhr.responseText));
      xhr.onerror = fail;
      xhr.open('GET', url);
      xhr.send();
    })"""),
    "beacon": Kind("url => { navigator.sendBeacon(url, 'x'); return asked(url); }"),
    "event-source": Kind("""url => new Promise((done) => {
      const source = new EventSource(url);
      source.onerror = () => { source.close(); done(); };
    })"""),
    "websocket": Kind("url => socket(url)"),
    "worker-fetch": Kind("url => worker(fetcher, url)"),
    "worker-redirected": Kind("url => worker(fetcher, hop(url))"),
    "worker-websocket": Kind(
        "url => worker(`${socket}; onmessage = ({data}) => "
        "socket(data).then(postMessage, () => postMessage(''))`, url)"
    ),
    "worker-import": Kind(
        "url => worker(`onmessage = ({data}) => {"
        "try { importScripts(data) } catch {} postMessage('') }`, url)"
    ),
    "shared-worker-fetch": Kind("""url => new Promise((done, fail) => {
      const {port} = new SharedWorker('/shared-worker.js');
      port.onmessage = ({data}) => done(keep(data));
      port.postMessage(url);
    })"""),
    "service-worker-fetch": Kind(
        """async url => {
      const {active} = await service();
      const channel = new MessageChannel();
      active.postMessage(url, [channel.port2]);
      keep(await new Promise((done) => channel.port1.onmessage = ({data}) => done(data)));
    }""",
        secure=True,
    ),
    "service-worker-import": Kind(
        "url => navigator.serviceWorker.register("
        "`/importing-worker.js?url=${encodeURIComponent(url)}`,"
        " {scope: `/scope/${name_of(url)}`})",
        secure=True,
    ),
    "img": _element("img", "src"),
    "img-redirected": Kind("url => element('img', {src: hop(url)})"),
    "img-srcset": _element("img", "srcset"),
    "input-image": _element("input", "src", type="image"),
    "svg-image": Kind("url => { html(`<svg><image href='${url}'/></svg>`); return asked(url); }"),
    "video": _element("video", "src"),
    "video-poster": Kind("url => { html(`<video poster='${url}'>`); return asked(url); }"),
    "audio": _element("audio", "src"),
    "track": Kind("""url => {
      const video = html(`<video><track default src='${url}'></video>`).firstChild;
      video.crossOrigin = "anonymous";
      video.textTracks[0].mode = "showing";
      return asked(url);
    }"""),
    "audio-worklet": Kind(
        "url => new OfflineAudioContext(1, 1, 8000).audioWorklet.addModule(url)", secure=True
    ),
    "object": _element("object", "data", type="text/html"),
    "embed": Kind("url => { html(`<embed src='${url}' type='text/html'>`); return asked(url); }"),
    "script": _element("script", "src"),
    "module": Kind("url => import(url)"),
    "stylesheet": _element("link", "href", rel="stylesheet"),
    "css-import": _style("@import '${url}';"),
    "css-background": _style("body { background-image: url(${url}) }"),
    "css-cursor": _style("html { cursor: url(${url}), auto }"),
    "font-face": Kind("url => new FontFace('x', `url(${url})`).load()"),
    "preload": _element("link", "href", **{"rel": "preload", "as": "image"}),
    "modulepreload": _element("link", "href", rel="modulepreload"),
    # Not tried on the own site: with our preferences Firefox does not do it at all.
    "prefetch": Kind("url => link('prefetch', url)", control=False),
    "preconnect": Kind("url => link('preconnect', url)", "tcp", control=False),
    # The icon is what the page's own site redirects, which shows by itself that it was tried.
    "favicon": Kind(
        "url => { link('icon', hop(url)); return asked('/control/hop'); }", control=False
    ),
    "iframe": Kind("url => framed_source(url, url)"),
    "iframe-redirected": Kind("url => framed_source(hop(url), url)"),
    "iframe-meta-refresh": Kind("url => framed('/meta?url=', url)"),
    "iframe-xslt": Kind("url => framed('/xslt?url=', url)"),
    "iframe-srcdoc": Kind("url => framed_html(`<img src='${url}'>`, url)"),
    "iframe-data": Kind("url => framed_source(`data:text/html,<img src='${url}'>`, url)"),
    "iframe-script": Kind("url => framed('/script?url=', url)"),
    "iframe-csp-report": Kind("url => framed('/csp?url=', url)"),
    "iframe-link-header": Kind("url => framed('/link-header?url=', url)"),
    "iframe-refresh-header": Kind("url => framed('/refresh-header?url=', url)"),
    "form-post": Kind("""url => {
      const name = `posted-${name_of(url)}-${own(url)}`;
      html(`<iframe name='${name}'></iframe>
            <form method=post action='${url}' target='${name}'><input name=a></form>`)
        .querySelector('form').submit();
      return asked(url);
    }"""),
    "popup": Kind("url => { open(url); return asked(url, () => open(url)); }"),
    "stun": _ice("stun:${host}", "udp"),
    "turn-udp": _ice("turn:${host}?transport=udp", "udp"),
    "turn-tcp": _ice("turn:${host}?transport=tcp", "tcp"),
    "turns-tcp": _ice("turns:${host}?transport=tcp", "tcp"),
    "stun-lookup": _ice("stun:${host}", "dns"),
    "ice-candidate": Kind("url => call(new URL(url), 'udp')", "udp", control=False),
    "ice-candidate-tcp": Kind("url => call(new URL(url), 'tcp')", "tcp", control=False),
    "dns-prefetch": Kind("url => link('dns-prefetch', url)", "dns", control=False),
    "webtransport": Kind(
        "url => within(1500, new WebTransport(url.replace('http:', 'https:')).ready)",
        "udp",
        control=False,
        secure=True,
    ),
    "ping": Kind(
        """url => {
      html(`<a href='#' ping='${url}'>x</a>`).firstChild.click();
      return asked(url);
    }""",
        control=False,
    ),
}
