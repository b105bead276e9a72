"""Firefox preferences that browsers start with."""

from __future__ import annotations

Preferences = dict[str, str | float | bool]

#: For both engines; ours win over Camoufox's own.
PREFS: Preferences = {
    # Each context goes through a guard of its own; what belongs to none goes to a port where nobody
    # listens, whatever http_proxy says in the environment.
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 1,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 1,
    # Never past the guard: not for loopback hosts, not by a list of exceptions, not when it fails,
    # not by WebRTC's UDP.
    "network.proxy.allow_hijacking_localhost": True,
    "network.proxy.no_proxies_on": "",
    "network.proxy.failover_direct": False,
    # Firefox's own services (remote settings, whose server release builds let nobody change) go
    # direct where a proxy fails, unless they may not.
    "network.proxy.allow_bypass": False,
    # The guard ends a plain request to what cannot be reached without an answer; ten attempts, the
    # default, would be ten lookups of a name that does not exist.
    "network.http.request.max-attempts": 2,
    # Without a proxy of the task's, pages see no addresses at all, which an ordinary browser shows
    # by names; to show them would take UDP past the guard.
    "media.peerconnection.ice.proxy_only": True,
    # The guard bounds each page's connections; Firefox's own 200 WebSockets are for all pages.
    "network.websocket.max-connections": 65535,
    # What one task's page may, no other's may.
    "permissions.isolateBy.userContext": True,
    # A site that speaks plain http only is opened as it is asked for, not by https first.
    "dom.security.https_first": False,
    "dom.security.https_first_pbm": False,
    "dom.security.https_only_mode": False,
    # JSON as the site sent it, not inside the viewer's interface.
    "devtools.jsonview.enabled": False,
    # print() shows its dialog to nobody; while that is open there are no screenshots.
    "print.enabled": False,
    # No traffic of the browser's own: updates, telemetry, lists, portal checks, push, prefetch.
    "app.normandy.enabled": False,
    "app.update.auto": False,
    "browser.safebrowsing.downloads.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.safebrowsing.update.enabled": False,
    "captivedetect.canonicalURL": "",
    "datareporting.healthreport.uploadEnabled": False,
    "dom.push.connection.enabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "network.predictor.enabled": False,
    "network.speculativeConnect.enabled": False,
    "services.settings.server": "",
    "toolkit.telemetry.enabled": False,
    # A page and its frames are one process, as in Playwright's own Firefox; tasks still never
    # share one, because Firefox keeps the processes of different contexts apart.
    "fission.webContentIsolationStrategy": 0,
    # No processes ahead of need: the pool makes pages ready by itself.
    "dom.ipc.processPrelaunch.enabled": False,
    "media.utility-process.enabled": False,
    "extensions.webextensions.remote": False,
    # The driver has Firefox keep the bodies of a page's answers, in case it is asked for one; only a
    # document's ever is, soon. Of 200 MB, the default, each answer more also looks through all.
    "remote.network.maxTotalDataSize": 40_000_000,
    # Nothing is kept of a page that is closed, and nothing is offered to a person at its windows.
    "browser.sessionhistory.max_total_viewers": 0,
    "browser.sessionstore.interval": 3_600_000,
    "browser.sessionstore.max_tabs_undo": 0,
    "browser.sessionstore.max_windows_undo": 0,
    "browser.sessionstore.resume_from_crash": False,
    "browser.cache.disk.enable": False,
    # Kept while a page is open, and apart for each context: without it, a reload fetches all again.
    "browser.cache.memory.enable": True,
    "browser.pagethumbnails.capturing_disabled": True,
    "places.history.enabled": False,
    "browser.newtab.preload": False,
    "browser.newtabpage.enabled": False,
    "browser.ml.enable": False,
    "browser.profiles.enabled": False,
    "browser.tabs.groups.enabled": False,
    "browser.tabs.hoverPreview.enabled": False,
    "browser.translations.enable": False,
    "extensions.formautofill.addresses.enabled": False,
    "extensions.formautofill.creditCards.enabled": False,
    "identity.fxaccounts.enabled": False,
    "sidebar.revamp": False,
    "signon.rememberSignons": False,
}

#: For stock Firefox alone.
FIREFOX_PREFS: Preferences = {
    **PREFS,
    # Pages can read whether it prefetches, and Camoufox looks like one that does. Its guard takes what
    # it prefetches as well.
    "network.prefetch-next": False,
    # For each page that is shown, the panel beside the address asks for a list that is never there.
    "browser.urlbar.trustPanel.featureGate": False,
    # The profile's own styles of Firefox's windows; see engines.
    "toolkit.legacyUserProfileCustomizations.stylesheets": True,
}
