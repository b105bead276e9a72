"""The last tasks of the service, and how those of the last hour ended."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial

from captcha_bypass.history.entries import Entry, TaskEntry, end_of, entry_of, name_of
from captcha_bypass.history.evidence import Evidence, EvidenceStore
from captcha_bypass.history.minutes import Minute, Minutes
from captcha_bypass.history.timeline import Timeline
from captcha_bypass.tasks.base import JsonDict, State

#: Tasks that are remembered; of those that have ended the first to end goes first.
MOST_TASKS = 1000
#: Of which may be pending: others are remembered once they start, or a long queue would leave no
#: room for those that have ended.
MOST_PENDING = 200
#: Tasks that are not remembered any more whose ids are.
MOST_GONE = 1000


class History:
    """The last tasks, told of by the queue (tasks.base.Observer) and by the worker.

    What is told costs little, and nothing is summed up before somebody asks. Each owner sees its own
    tasks.

    Args:
        evidence: Where the worker's evidence is kept.
        clock: Returns epoch seconds.
    """

    def __init__(
        self, evidence: EvidenceStore | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.evidence = EvidenceStore() if evidence is None else evidence
        self.evidence.on_gone = self._touch
        self._clock = clock
        #: Grows with each change.
        self.version = 0
        #: The last changed last.
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        #: In the order they ended.
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._pending = 0
        #: Version, owner and id of those that were remembered, and the version of the last of whom
        #: that is forgotten, too.
        self._gone: deque[tuple[int, str, str]] = deque()
        self._gone_since = 0
        self._minutes = Minutes()

    # What it is told.

    def submitted(self, task_id: str, payload: JsonDict, owner: str) -> None:
        """See Observer."""
        if self._pending < MOST_PENDING:
            self._pending += 1
            self._add(entry_of(task_id, payload, owner, self._clock()))

    def started(self, task_id: str, payload: JsonDict, owner: str, waited: float) -> None:
        """See Observer."""
        now, entry = self._clock(), self._entries.get(task_id)
        if entry is None:
            entry = entry_of(task_id, payload, owner, now - waited)
        else:
            self._pending -= 1
        entry.state, entry.started_at = State.RUNNING, now
        entry.timeline = Timeline(partial(self._touch, task_id))
        self._add(entry)

    def waiting(self, task_id: str) -> None:
        """See Observer."""
        entry = self._entries.get(task_id)
        if entry is not None:
            entry.state = State.WAITING_FOR_HUMAN
            self._touch(task_id)

    def ended(self, task_id: str, outcome: JsonDict) -> None:
        """See Observer."""
        entry = self._entries.get(task_id)
        if entry is not None and entry.is_live:
            entry.end = end_of(outcome)
            state = State.ERROR if "error" in outcome else State.COMPLETED
            self._end(entry, state, name_of(outcome))

    def removed(self, task_id: str) -> None:
        """See Observer."""
        entry = self._entries.get(task_id)
        if entry is None:
            return
        entry.has_result = False
        if entry.is_live:
            self.evidence.drop(task_id)  # its client wants no more of it
            self._end(entry, State.ERROR, "cancelled")
        else:
            self._touch(task_id)

    def timeline(self, task_id: str) -> Timeline:
        """Return what is to be told of the documents of a task that runs."""
        entry = self._entries.get(task_id)
        found = None if entry is None else entry.timeline
        return found or Timeline()

    def keep(self, task_id: str, evidence: Evidence) -> None:
        """Keep what a task has left, as long as there is room for it."""
        self.evidence.keep(task_id, evidence)
        self._touch(task_id)

    # What it tells.

    def entries(self, owner: str, since: int = 0) -> list[TaskEntry]:
        """Return an owner's tasks that have changed since a version, the last change last."""
        found = []
        for entry in reversed(self._entries.values()):
            if entry.version <= since:
                break
            if entry.owner == owner:
                found.append(self._summary(entry))
        return found[::-1]

    def removed_since(self, owner: str, since: int) -> list[str] | None:
        """Return an owner's tasks that are not remembered any more since a version.

        None: that is too long ago; whoever asks must begin anew.
        """
        if since < self._gone_since:
            return None
        return [task_id for at, whose, task_id in self._gone if at > since and whose == owner]

    def details(self, task_id: str, owner: str) -> JsonDict | None:
        """Return all that is known of an owner's task; None: it is not remembered."""
        entry = self._entries.get(task_id)
        if entry is None or entry.owner != owner:
            return None
        kept = self.evidence.get(task_id, owner)
        end = entry.end or end_of({})
        return {
            **self._summary(entry),
            "asked": entry.asked,
            "documents": [] if entry.timeline is None else list(entry.timeline.documents),
            **{name: value for name, value in end.items() if name not in ("vendor", "kind")},
            "evidence": kept
            and {
                "html_bytes": len(kept.html or b""),
                "jpeg_bytes": len(kept.jpeg or b""),
            },
        }

    def minutes(self, owner: str) -> list[Minute]:
        """Return how an owner's tasks of the last hour ended, the current minute last."""
        return self._minutes.last(self._clock(), owner)

    def _summary(self, entry: Entry) -> TaskEntry:
        return entry.summary(has_evidence=entry.task_id in self.evidence)

    def _add(self, entry: Entry) -> None:
        self._entries[entry.task_id] = entry
        self._touch(entry.task_id)
        while len(self._entries) > MOST_TASKS and self._ended:
            self._forget(self._ended.popitem(last=False)[0])

    def _end(self, entry: Entry, state: State, outcome: str) -> None:
        if entry.state is State.PENDING:
            self._pending -= 1
        entry.state, entry.outcome, entry.ended_at = state, outcome, self._clock()
        self._ended[entry.task_id] = None
        self._minutes.add(entry.ended_at, entry.owner, outcome, entry.seconds)
        self._touch(entry.task_id)

    def _touch(self, task_id: str) -> None:
        """Note that a task has changed, if it is remembered."""
        entry = self._entries.get(task_id)
        if entry is not None:
            self.version += 1
            entry.version = self.version
            self._entries.move_to_end(task_id)

    def _forget(self, task_id: str) -> None:
        entry = self._entries.pop(task_id)
        self.version += 1
        self._gone.append((self.version, entry.owner, task_id))
        if len(self._gone) > MOST_GONE:
            self._gone_since = self._gone.popleft()[0]
