"""A fleet's queue as lists that are searched from their starts: which task a node takes, and what then stands."""

from __future__ import annotations

from dataclasses import dataclass, field

#: A task is run no more after nodes have died with it so often; as in store.ATTEMPTS.
ATTEMPTS = 2


@dataclass(eq=False)
class Task:
    task_id: str
    ticket: int
    groups: dict[str, int]
    home: str
    pin: str
    state: str = "pending"
    attempts: int = 0


@dataclass(eq=False)
class Run:
    """An attempt at a task by a node."""

    task: Task
    node: str
    token: str
    is_aside: bool = False


@dataclass
class Model:
    #: Those that can be asked for, and those that were removed while they ran.
    tasks: dict[str, Task] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    homes: dict[str, str] = field(default_factory=dict)
    #: Homes whose node has died, for the next task to be told.
    lost: set[str] = field(default_factory=set)
    bounds: dict[str, int] = field(default_factory=dict)

    def pending(self) -> list[Task]:
        found = [task for task in self.tasks.values() if task.state == "pending"]
        return sorted(found, key=lambda task: task.ticket)

    def ended(self) -> list[Task]:
        return [task for task in self.tasks.values() if task.state in ("completed", "error")]

    def runs_of(self, node: str) -> list[Run]:
        return [run for run in self.runs if run.node == node]

    def enter(self, task: Task) -> None:
        task.state = "pending"
        self.tasks[task.task_id] = task
        for name, bound in task.groups.items():
            self.bounds.setdefault(name, bound)

    def place(self, task: Task) -> str | None:
        """Which node must run a task; None: any may."""
        return task.pin or self.homes.get(task.home)

    def first(self, node: str) -> Task | None:
        """Find the oldest task that a node may run: its groups have room, no line has an earlier one."""
        lines = set[str]()
        for task in self.pending():
            if not lines & set(task.groups) and all(
                sum(name in run.task.groups for run in self.runs) < self.bounds[name]
                for name in task.groups
            ):
                place = self.place(task)
                if place is None or place == node:
                    return task
            lines |= {name for name in task.groups if self.bounds[name] == 1}
        return None

    def begin(self, task: Task, node: str, token: str) -> bool:
        """Have a node run a task; return whether its home was lost."""
        task.state = "running"
        task.attempts += 1
        self.runs.append(Run(task, node, token))
        if not task.home:
            return False
        if task.home in self.lost:
            self.lost.remove(task.home)
            return True
        self.homes[task.home] = node
        return False

    def end(self, run: Run, state: str) -> None:
        """Have a task ended that is run, as far as somebody wants to know."""
        self.runs.remove(run)
        if run.task.state == "removed":
            del self.tasks[run.task.task_id]
        else:
            run.task.state = state
        self.tidy()

    def give_back(self, run: Run, *, counts: bool) -> None:
        """Have a task run again, in its old place."""
        if not counts:
            run.task.attempts -= 1
        elif run.task.attempts >= ATTEMPTS and run.task.state != "removed":
            self.end(run, "error")
            return
        self.runs.remove(run)
        if run.task.state == "removed":
            del self.tasks[run.task.task_id]
        else:
            self.enter(run.task)
        self.tidy()

    def leave(self, node: str, *, counts: bool) -> None:
        """Have a node gone, and all that it had."""
        for run in self.runs_of(node):
            self.give_back(run, counts=counts)
        self.nodes.remove(node)
        for home in [home for home, holder in self.homes.items() if holder == node]:
            del self.homes[home]
            if home.startswith("session:"):
                self.lost.add(home)
        for task in self.pending():
            if task.pin == node:
                task.state = "error"
        self.tidy()

    def tidy(self) -> None:
        """Forget the bounds of groups that have no tasks."""
        used = {name for task in self.pending() for name in task.groups}
        used |= {name for run in self.runs for name in run.task.groups}
        self.bounds = {name: bound for name, bound in self.bounds.items() if name in used}
