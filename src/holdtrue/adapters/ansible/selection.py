"""Which tasks of a playbook are selected by tags, and on which hosts one of them ran."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from holdtrue.adapters.ansible.events import AnsibleEvent, TaskEnded
from holdtrue.models.configuration import TaskOutcome, TaskResult

_NOT_WORK: Final = frozenset({"setup", "gather_facts", "include_tasks", "include_role"})
"""Fact gathering is selected by every tag; an include says nothing about whether a task in it was."""


@dataclass(frozen=True, slots=True)
class TaskSelection:
    """As ansible-playbook's `--tags` and `--skip-tags`; empty for all tasks."""

    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tags or self.skip_tags)

    def __str__(self) -> str:
        """For people, to be read after "tasks"."""
        parts = [f"with the tags {', '.join(self.tags)}"] if self.tags else []
        parts += [f"without the tags {', '.join(self.skip_tags)}"] if self.skip_tags else []
        return " and ".join(parts)

    def arguments(self) -> list[str]:
        """Arguments of ansible-playbook."""
        arguments = [f"--tags={','.join(self.tags)}"] if self.tags else []
        return arguments + ([f"--skip-tags={','.join(self.skip_tags)}"] if self.skip_tags else [])


ALL_TASKS: Final = TaskSelection()


class SelectionWitness:
    """Records on which hosts a selected task ran: a host on which tags match nothing must not look checked."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def take(self, event: AnsibleEvent) -> None:
        """Look at one event."""
        if isinstance(event, TaskEnded) and event.module.rsplit(".", 1)[-1] not in _NOT_WORK:
            self._seen.add(event.host)

    def idle(self, hosts: Sequence[str], results: Sequence[TaskResult]) -> tuple[str, ...]:
        """The hosts on which no selected task ran, and on which no task failed and which were reachable."""
        troubled = {
            result.host for result in results if result.outcome in {TaskOutcome.FAILED, TaskOutcome.UNREACHABLE}
        }
        return tuple(host for host in hosts if host not in self._seen | troubled)
