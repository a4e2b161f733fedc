"""Which hosts were in the plays of a playbook, and why no task ran on some of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from holdtrue.adapters.ansible.events import TaskEnded, TaskNamed
from holdtrue.adapters.ansible.selection import ALL_TASKS, TaskSelection
from holdtrue.models.configuration import UntouchedHost

_ENDINGS: Final = frozenset({"end_host", "end_play", "end_batch"})


def _own_modules(*names: str) -> frozenset[str]:
    return frozenset(
        f"{collection}{name}" for collection in ("", "ansible.builtin.", "ansible.legacy.") for name in names
    )


_NOT_A_TASK: Final = _own_modules("setup", "gather_facts", "meta")
"""Gathering facts does not check whether a host is as declared."""
_INCLUDES: Final = _own_modules("include_tasks", "include_role")
"""With a selection they do not count: a selected include does not select the tasks in it."""


@dataclass(slots=True)
class _Play:
    hosts: frozenset[str]
    endings: list[str] = field(default_factory=list)
    tasks: int = 0
    once: int = 0


class PlayRecord:
    """Takes the events of plays and tasks in their order; only tasks of the `selection` run."""

    def __init__(self, selection: TaskSelection = ALL_TASKS) -> None:
        self._selection = selection
        self._not_a_task = _NOT_A_TASK | _INCLUDES if selection else _NOT_A_TASK
        self._plays: list[_Play] = []
        self._touched: set[str] = set()

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts of the play under way."""
        return self._plays[-1].hosts if self._plays else frozenset()

    def begin(self, hosts: Iterable[str]) -> None:
        """A play begins."""
        self._plays.append(_Play(frozenset(hosts)))

    def announce(self, task: TaskNamed) -> None:
        """A task begins."""
        if not self._plays:
            return
        play = self._plays[-1]
        if task.meta:
            play.endings += [task.meta] if task.meta in _ENDINGS else []
        else:
            play.tasks += 1
            play.once += task.run_once

    def note(self, event: TaskEnded) -> None:
        """A task ended on a host."""
        if event.module not in self._not_a_task or event.event in {"runner_on_failed", "runner_on_unreachable"}:
            self._touched.add(event.host)

    def includes(self, host: str) -> bool:
        """Whether the host was in a play."""
        return any(host in play.hosts for play in self._plays)

    def untouched(self) -> tuple[UntouchedHost, ...]:
        """Hosts that were in a play and on which no task ran except the gathering of facts, ordered by name."""
        hosts = sorted({host for play in self._plays for host in play.hosts} - self._touched - {"localhost"})
        return tuple(
            UntouchedHost(host=host, reason=self._reason([play for play in self._plays if host in play.hosts]))
            for host in hosts
        )

    def _reason(self, plays: Sequence[_Play]) -> str:
        return f"no task {self._selection} ran on it" if self._selection else _reason(plays)


def _reason(plays: Sequence[_Play]) -> str:
    endings = list(dict.fromkeys(ending for play in plays for ending in play.endings))
    if endings:
        return f"its play was ended before a task ran on it ({', '.join(f'meta: {ending}' for ending in endings)})"
    tasks = sum(play.tasks for play in plays)
    if tasks and tasks == sum(play.once for play in plays):
        return "its plays have only tasks with run_once, which ran on another host"
    return "no task of its plays ran on it"
