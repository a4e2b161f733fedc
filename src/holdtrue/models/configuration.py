"""Host configuration: what a playbook run says, and the seam of the tool that runs it."""

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


class ConfigurationRun(Value):
    """One playbook run over all hosts."""

    check: bool = Field(description="True when nothing was allowed to change.")
    hosts: tuple[HostSummary, ...]
    results: tuple[TaskResult, ...] = Field(description="Every task result that is not plain ok.")
    selection: str = Field(default="", description="Which tasks were selected by tags; empty for all of them.")

    @property
    def changed(self) -> tuple[TaskResult, ...]:
        """The tasks that changed, or would change, something."""
        return tuple(result for result in self.results if result.outcome is TaskOutcome.CHANGED)


class Configurator(Protocol):
    """The configuration tool, bound to one playbook, its hosts and an open SSH access.

    Both methods return a run in which every host succeeded, and raise ConfigurationFailed (bad playbook, failed task),
    HostUnreachable or ToolMissing otherwise. `check` may return unreachable hosts: a reader reports what it saw.
    """

    def apply(self, on_progress: ProgressSink = ignore_progress) -> ConfigurationRun:
        """Make it so."""
        ...

    def check(self, on_progress: ProgressSink = ignore_progress) -> ConfigurationRun:
        """Say what would change, with diffs; change nothing."""
        ...
