"""Host configuration: what a playbook run says, and the seam of the tool that runs it."""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from pydantic import Field

from holdtrue.models.base import ProgressSink, Value, ignore_progress


class TaskOutcome(StrEnum):
    """How one task ended on one host."""

    OK = "ok"
    CHANGED = "changed"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNREACHABLE = "unreachable"


class FileDiff(Value):
    """A file's text before and after, as `--diff` shows it; cut to a size a person reads."""

    path: str
    before: str
    after: str


class TaskResult(Value):
    """One task on one host."""

    host: str
    task: str
    module: str = ""
    outcome: TaskOutcome
    message: str = ""
    diffs: tuple[FileDiff, ...] = ()


class HostSummary(Value):
    """Counts of one host."""

    host: str
    ok: int = Field(ge=0)
    changed: int = Field(ge=0)
    failed: int = Field(ge=0)
    skipped: int = Field(ge=0)
    unreachable: bool = False


class UntouchedHost(Value):
    """A host that was in a play, and on which no task ran but the gathering of facts."""

    host: str
    reason: str


class LostHandler(Value):
    """A handler that a changed task has notified on a host, and that has not run there to its end.

    A later run in which its task changes nothing does not notify it again, so its work has to be done by hand.
    """

    host: str
    handler: str
    failed: bool = Field(default=False, description="It started and failed; if false, it never started.")

    def __str__(self) -> str:
        return f"{self.host}: {self.handler}{' (failed)' if self.failed else ''}"


class HandlerNote(Value):
    """A change in which handlers are pending, reported when it happens, for later runs."""

    host: str
    handlers: tuple[str, ...] = Field(
        min_length=1, description="The name of a handler that is notified, or all names of one that ran."
    )
    is_open: bool = Field(description="True when it was notified or failed; false when it ran or is not needed.")


HandlerSink = Callable[[HandlerNote], None]


def ignore_handlers(_: HandlerNote) -> None:
    """The sink for callers after which no run follows."""


class ConfigurationRun(Value):
    """One playbook run over all hosts."""

    check: bool = Field(description="True when nothing was allowed to change.")
    hosts: tuple[HostSummary, ...]
    results: tuple[TaskResult, ...] = Field(description="Every task result that is not plain ok.")
    selection: str = Field(default="", description="Which tasks were selected by tags; empty for all of them.")
    untouched: tuple[UntouchedHost, ...] = Field(default=(), description="Hosts in a play on which no task ran.")
    lost_handlers: tuple[LostHandler, ...] = Field(
        default=(), description="Handlers that were notified and have not run. Empty in check mode."
    )

    @property
    def changed(self) -> tuple[TaskResult, ...]:
        """The tasks that changed, or would change, something."""
        return tuple(result for result in self.results if result.outcome is TaskOutcome.CHANGED)


class Configurator(Protocol):
    """The configuration tool, bound to one playbook, its hosts and an open SSH access.

    Both methods return a run in which every host succeeded, and raise ConfigurationFailed (bad playbook, failed task),
    HostUnreachable or ToolMissing otherwise. `check` may return unreachable hosts: a reader reports what it saw.
    """

    def apply(
        self, on_progress: ProgressSink = ignore_progress, on_handler: HandlerSink = ignore_handlers
    ) -> ConfigurationRun:
        """Run the playbook. `on_handler` is called when a handler is notified and when it has run."""
        ...

    def check(self, on_progress: ProgressSink = ignore_progress) -> ConfigurationRun:
        """Report what would change, with diffs; change nothing."""
        ...
