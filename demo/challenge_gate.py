"""Challenges and clearances: who is let through the challenge site, and how often it happened."""

import hashlib
import math
import secrets
import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

# Measured in Firefox ESR on a 2-core machine; it only turns `work` into a number of hashes.
HASHES_PER_SECOND = 2_000_000


@dataclass(frozen=True)
class SiteOptions:
    """How hard and how lasting the site's challenges are.

    Attributes:
        work: About how many seconds a browser needs for one challenge; 0 accepts any nonces.
        puzzles: Number of puzzles in a challenge; the time's spread is work / sqrt(puzzles).
        challenge_seconds: How long a challenge may be answered.
        clearance_seconds: How long a clearance lasts where its page sets no other time.
        cookie: What the clearance of the plain pages is called.
        clock: Returns the time in seconds; tests put in their own.
    """

    work: float = 0.4
    puzzles: int = 64
    challenge_seconds: float = 60
    clearance_seconds: float = 3600
    cookie: str = "clearance"
    clock: Callable[[], float] = time.monotonic

    @property
    def target(self) -> int:
        """The bound in 1..2**32 that the first four bytes of each hash must be below."""
        return max(1, int(2**32 / max(1.0, self.work * HASHES_PER_SECOND / self.puzzles)))


@dataclass
class Stats:
    """What the site has done since its start or reset: path (no query) -> count."""

    challenges: Counter[str] = field(default_factory=Counter)
    """Challenge pages served."""
    passes: Counter[str] = field(default_factory=Counter)
    """Clearances given, by the page that had asked for them."""
    pages: Counter[str] = field(default_factory=Counter)
    """Guarded pages served, that is, behind their challenge."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Clearance cookies not accepted: unknown, expired, used up, or of another UA or IP."""

    def reset(self) -> None:
        """Set every counter back to zero."""
        for counter in (self.challenges, self.passes, self.pages, self.rejected):
            counter.clear()


@dataclass(frozen=True)
class Grant:
    """What solving a challenge gives: a cookie's name, its seconds and its number of uses."""

    cookie: str
    seconds: float
    uses: float = math.inf


@dataclass
class Clearance:
    """A token's realm, its owner (User-Agent, IP), when it ends and the uses it has left."""

    cookie: str
    owner: tuple[str, str]
    ends: float
    uses: float


def owner(request: web.Request) -> tuple[str, str]:
    """Return whose request it is: User-Agent and IP address."""
    return request.headers.get("User-Agent", ""), request.remote or ""


class Gate:
    """Gives out challenges and clearances, and checks both."""

    def __init__(self, options: SiteOptions, stats: Stats) -> None:
        self._options = options
        self._stats = stats
        self._challenges: dict[str, tuple[float, str, Grant]] = {}  # id: (end, path, grant)
        self._clearances: dict[str, Clearance] = {}  # by token

    def challenge(self, path: str, grant: Grant) -> dict[str, object]:
        """Return a new challenge, in the shape the page's script takes."""
        now = self._options.clock()
        # All live equally long, so the oldest are first and the sweep stops at a live one.
        while self._challenges and next(iter(self._challenges.values()))[0] <= now:
            del self._challenges[next(iter(self._challenges))]
        challenge = secrets.token_hex(32)
        self._challenges[challenge] = (now + self._options.challenge_seconds, path, grant)
        return {
            "id": challenge,
            "puzzles": self._options.puzzles,
            "target": self._options.target,
        }

    def clear(
        self, challenge: str, nonces: list[object], owner: tuple[str, str]
    ) -> tuple[str, str] | None:
        """Use up a challenge; return a cookie (name, token), or None if it is not solved."""
        now = self._options.clock()
        ends, path, grant = self._challenges.pop(challenge, (-math.inf, "", None))
        if grant is None or ends <= now or len(nonces) != self._options.puzzles:
            return None
        if not all(self._solves(challenge, i, nonce) for i, nonce in enumerate(nonces)):
            return None
        return self.grant(path, grant, owner)

    def grant(self, path: str, grant: Grant, owner: tuple[str, str]) -> tuple[str, str]:
        """Return a cookie (name, token) for whoever has passed the challenge of a page."""
        now = self._options.clock()
        self._stats.passes[path] += 1
        self._clearances = {t: c for t, c in self._clearances.items() if c.ends > now and c.uses}
        token = secrets.token_urlsafe(24)
        self._clearances[token] = Clearance(grant.cookie, owner, now + grant.seconds, grant.uses)
        return grant.cookie, token

    def _solves(self, challenge: str, index: int, nonce: object) -> bool:
        if not isinstance(nonce, int) or not 0 <= nonce < 2**32:
            return False
        message = bytes.fromhex(challenge) + struct.pack(">II", index, nonce)
        first = int.from_bytes(hashlib.sha256(message).digest()[:4], "big")
        return first < self._options.target

    def admits(self, request: web.Request, cookie: str) -> bool:
        """Say whether the request has a valid clearance, and take one use off it."""
        token = request.cookies.get(cookie)
        if token is None:
            return False
        found = self._clearances.get(token)
        if (
            found is None
            or (found.cookie, found.owner) != (cookie, owner(request))
            or found.ends <= self._options.clock()
            or found.uses < 1
        ):
            self._stats.rejected[request.path] += 1
            return False
        found.uses -= 1
        return True
