"""The task that the queue keeps of a request, and the session that it may run in."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import Field

from captcha_bypass.wire.models import SolveRequest


class SessionKey(NamedTuple):
    """What a session goes by: several owners may each have one of the same name."""

    owner: str
    name: str
    #: The service has begun it for a site; no user can name one, or sees it.
    of_site: bool = False

    @property
    def home(self) -> str:
        """What it goes by among the services that share a queue; empty: only one knows of it."""
        return "" if self.of_site else f"session:{self.owner}:{self.name}"


class Task(SolveRequest):
    """What the queue keeps of a request: all of it, whose it is, and what only other APIs ask for."""

    form: str | None = Field(
        None,
        repr=False,
        description="application/x-www-form-urlencoded; makes the first request a POST",
    )
    settle: float = Field(0.0, ge=0, description="seconds to wait once the conditions hold")
    session_ttl: float | None = Field(
        None, gt=0, description="seconds; an older session is begun anew"
    )
    owner: str = Field("", description="whose it is, and its session; one for each API key")
    of_site: bool = Field(
        False, description="whether the session is one that the service has begun"
    )

    @classmethod
    def of(cls, request: SolveRequest, owner: str) -> Task:
        """Return a request, which was checked when it came, as a task of its owner's."""
        return cls.model_construct(**{**dict(request), "owner": owner})

    @property
    def waits_for_human(self) -> bool:
        """Whether its page is kept for a person where its challenge needs one."""
        return self.on_challenge == "wait"

    @property
    def session_key(self) -> SessionKey | None:
        """The session it runs in; None: none."""
        if self.session is None:
            return None
        return SessionKey(self.owner, self.session, self.of_site)

    @property
    def home(self) -> str:
        """Where it must run, see TaskQueue.submit; empty: anywhere, or here if it is `of_site`."""
        return "" if self.session_key is None else self.session_key.home

    def groups(self, max_per_host: int) -> dict[str, int]:
        """Return the queue's groups that it is in, and how many tasks of each may run at once.

        Its host, whatever the scheme and port, because politeness is owed to machines; and its
        session, which takes one at a time.

        Args:
            max_per_host: 0: any number.
        """
        bounds = {}
        if max_per_host:
            bounds[f"host:{self.host.removesuffix('.')}"] = max_per_host
        if self.session is not None:
            kind = "site" if self.of_site else "session"
            bounds[f"{kind}:{self.owner}:{self.session}"] = 1
        return bounds

    def to_payload(self) -> dict[str, Any]:
        """Return it as a JSON dict, secrets included, for the queue."""
        payload = self.model_dump(mode="json", exclude_defaults=True)
        if self.proxy is not None and self.proxy.password is not None:
            payload["proxy"]["password"] = self.proxy.password.get_secret_value()
        return payload
