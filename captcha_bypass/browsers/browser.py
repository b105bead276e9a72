"""One browser and its state: who has pages in it, whether it takes more, and why it ends."""

from __future__ import annotations

import asyncio

from playwright.async_api import Page

from captcha_bypass.browsers.launch.launcher import BrowserProcess, Launcher
from captcha_bypass.browsers.lease import Lease
from captcha_bypass.browsers.lifecycle import Owner, State
from captcha_bypass.browsers.occupants import Occupants
from captcha_bypass.browsers.process import Process
from captcha_bypass.browsers.retirement import IN_ORDER, Cause
from captcha_bypass.browsers.tab import Tab
from captcha_bypass.browsers.tabs import Means, Tabs
from captcha_bypass.concurrency import uninterrupted
from captcha_bypass.egress.routes import Permit
from captcha_bypass.errors import BrowserLost, TaskError, Unguarded
from captcha_bypass.status import BrowserNow


class Browser:
    """A browser process, from its launch, which begins at once, to its certain end.

    Args:
        means: What pages are opened with.
        max_tasks: So many tasks, and it takes no more.
        owner: Told of every change; closes it once it `is_finished`.
    """

    def __init__(self, means: Means, launcher: Launcher, max_tasks: int, owner: Owner) -> None:
        self._means = means
        self._owner = owner
        #: Who has pages in it; counted by others, changed by this one alone.
        self.occupants = Occupants(max_tasks)
        self._clock = asyncio.get_running_loop().time
        self._born = self._clock()
        self._state = State.STARTING
        self._cause: Cause | None = None
        self._strained = False
        self._tabs: Tabs | None = None
        self._process = Process(means, launcher, self)

    def __repr__(self) -> str:
        """Tell state and counts, for logs and debuggers."""
        return f"<Browser {self._state.value}: {self.occupants}>"

    @property
    def has_started(self) -> bool:
        """Whether it was ever ready to open pages."""
        return self._process.has_started

    @property
    def is_running(self) -> bool:
        """Whether it has started, and is not known to be dead."""
        return self.has_started and not self.is_dead

    @property
    def is_dead(self) -> bool:
        """Whether it was killed, found dead, or never started."""
        return self._state is State.DEAD

    @property
    def is_active(self) -> bool:
        """Whether it is starting or ready: neither retiring nor dead."""
        return self._state in (State.STARTING, State.READY)

    @property
    def keeps_sessions(self) -> bool:
        """See tabs.Owner."""
        return self.occupants.sessions > 0

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do with it but to close it."""
        return self.is_dead or (self._state is State.RETIRING and self.occupants.is_empty)

    @property
    def accepts_tasks(self) -> bool:
        """Whether it may be given tasks, once there is room."""
        return self.is_active and not self._strained and not self.occupants.is_exclusive

    @property
    def is_strained(self) -> bool:
        """Whether a page keeps it so busy that another would have to wait."""
        return self._strained

    @property
    def has_spare(self) -> bool:
        """Whether a page is ready for the next task, or being made ready."""
        return self._tabs is not None and self._tabs.has_spare

    @property
    def cause(self) -> Cause | None:
        """Why it takes no more tasks; None while it does, or if it never started."""
        return self._cause

    @property
    def seconds(self) -> float:
        """Its age."""
        return self._clock() - self._born

    @property
    def bytes(self) -> int:
        """See Process."""
        return self._process.bytes

    def now(self) -> BrowserNow:
        """Return its numbers, without asking it."""
        return BrowserNow(
            age=round(self.seconds, 1),
            tasks=self.occupants.tasks,
            served=self.occupants.served,
            bytes=self.bytes,
            sessions=self.occupants.sessions,
        )

    async def weigh(self) -> int:
        """See Process."""
        return await self._process.weigh()

    @property
    def process(self) -> BrowserProcess:
        """What was launched; only of one that has started."""
        return self._process.launched

    @property
    def tabs(self) -> Tabs:
        """Its pages; only of one that has started."""
        assert self._tabs is not None  # noqa: S101 - see there
        return self._tabs

    def on_launched(self, launched: BrowserProcess) -> None:
        """See process.Owner."""
        launched.browser.on("disconnected", lambda _: self.check())
        self._tabs = Tabs(self._means, launched.browser, self)
        if self._state is State.STARTING:
            self._state = State.READY
        self._owner.on_started()

    def on_not_launched(self, error: TaskError | Unguarded) -> None:
        """See process.Owner."""
        self._state = State.DEAD
        self._owner.on_not_started(error)

    async def started(self) -> None:
        """See Process."""
        await self._process.started()

    def seat(self, lease: Lease) -> None:
        """Give a place to a task whose page is in it, by itself or in a session."""
        self.occupants.seat(lease)
        self._owner.update()

    def release(self, lease: Lease) -> None:
        """See Place."""
        self.occupants.release(lease)
        self._on_leaving()

    def begin_session(self) -> None:
        """Keep one more session, and from now on no tasks but those of sessions."""
        self.occupants.begin_session()

    def count_request(self) -> None:
        """Count a request that is sent in one of its sessions."""
        self.occupants.count_request()

    def end_session(self) -> None:
        """Keep one session less."""
        self.occupants.end_session()
        self._on_leaving()

    def _on_leaving(self) -> None:
        if self.occupants.is_used_up:
            self.retire("tasks")
        self._owner.update()

    @property
    def obstacle(self) -> str:
        """See Place."""
        busy = "its browser was too busy to open one"
        return busy if self.has_started else self._owner.obstacle

    async def open(self, permit: Permit) -> Tab:
        """See Place."""
        await self.started()
        async with self.tabs.opening(permit):
            return await self.tabs.open(permit)

    async def close_tab(self, tab: Tab, *, patient: bool = False) -> None:
        """See Place, and Tabs.close."""
        if not self.is_dead and not await self.tabs.close(tab, patient=patient):
            await self.kill("close")

    def loss(self, *, suspect: bool) -> TaskError:
        """See Place."""
        return BrowserLost(suspect=suspect)

    def page_crashed(self, page: Page) -> None:
        """Take note that a page's content process has died, and tell its task."""
        self.occupants.tell_page_crash(page)
        self.retire("page_crash")

    def strain(self) -> None:
        """Take no tasks until `relax`; see `is_strained`."""
        self._set_strained(True)

    def relax(self) -> None:
        """Take tasks again."""
        self._set_strained(False)

    def _set_strained(self, strained: bool) -> None:
        if strained != self._strained:
            self._strained = strained
            self._owner.update()

    def retire(self, cause: Cause) -> None:
        """Take no more tasks; it is closed once it has none, and no sessions."""
        if self.is_active:
            self._state, self._cause = State.RETIRING, cause
            self._owner.update()

    def check(self) -> None:
        """See Place."""
        if self.is_running and (fault := self._process.fault) is not None:
            self._die(fault)

    async def kill(self, cause: Cause, culprit: Lease | None = None) -> None:
        """See Place."""
        self._die(cause, culprit)
        await uninterrupted(self.close())

    def _die(self, cause: Cause, culprit: Lease | None = None) -> None:
        if not self.is_dead:
            self.occupants.tell_end(cause, culprit)
            self._state, self._cause = State.DEAD, cause
            self._owner.update()

    async def close(self) -> None:
        """End its process: in order if it is healthy, and for certain in any case."""
        in_order = self._state is State.RETIRING and self._cause in IN_ORDER
        self._state = State.DEAD
        await self._process.close(in_order=in_order)

    async def on_closed(self) -> None:
        """See process.Owner."""
        if self._tabs is not None:
            await self._tabs.cut_off()
