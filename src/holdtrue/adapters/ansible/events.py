"""What the child process says, line by line."""

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from holdtrue.errors import UnavailableError
from holdtrue.models.configuration import FileDiff
from holdtrue.runtime.redaction import redact_data


class _Event(BaseModel):
    """Fields that are not named here are not ours: modules add what they like."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ModuleResult(_Event):
    """The essence of a module's result, as the callback plugin bounds it."""

    changed: bool = False
    failed: bool = False
    skipped: bool = False
    msg: str = ""
    reason: str = ""
    skip_reason: str = ""
    skipped_reason: str = ""
    censored: str = ""
    rc: int | None = None
    stderr: str = ""
    stdout: str = ""
    module_stderr: str = ""
    module_stdout: str = ""
    label: str = ""
    diffs: tuple[FileDiff, ...] = ()
    items: tuple["ModuleResult", ...] = ()
    item_count: int = 0


class TaskEnded(_Event):
    """One task ended on one host."""

    kind: Literal["result"]
    event: Literal["runner_on_ok", "runner_on_failed", "runner_on_unreachable", "runner_on_skipped"]
    host: str
    task: str
    module: str
    ignored: bool
    handler_names: tuple[str, ...] = ()
    """All that a handler may be notified by, the name that people know first; empty for a task that is no handler."""
    run_once: bool = False
    result: ModuleResult


class PlayStarted(_Event):
    """A play begins, or a batch of it, on these hosts."""

    kind: Literal["play"]
    hosts: tuple[str, ...]


class HandlerNotified(_Event):
    """A handler is to run on a host, before its play ends there."""

    kind: Literal["notified"]
    host: str
    handler: str
    replaces: tuple[str, ...] = ()
    """Other names by which it may have been told before, when the final one was not known."""


class TaskNamed(_Event):
    """A task begins, on all its hosts."""

    kind: Literal["task"]
    task: str
    meta: str = ""
    """What a `meta` task does, such as `end_host`."""
    run_once: bool = False


class TaskStarted(_Event):
    """A task begins on one host."""

    kind: Literal["start"]
    host: str
    task: str


class Statistics(_Event):
    """Ansible's own counts by host, at the end of a playbook that ran."""

    kind: Literal["stats"]
    ok: dict[str, int]
    changed: dict[str, int]
    failures: dict[str, int]
    skipped: dict[str, int]
    dark: dict[str, int]
    processed: dict[str, int]


class Prompted(_Event):
    """The playbook asks a person for a variable (`vars_prompt`)."""

    kind: Literal["prompt"]
    variable: str


class Text(_Event):
    """What Ansible said outside of any task: warnings, and the error that kept the playbook from running."""

    kind: Literal["text"]
    text: str


class Ended(_Event):
    """The last event."""

    kind: Literal["end"]
    status: str
    exit_code: int | None


AnsibleEvent = (
    TaskEnded | TaskNamed | TaskStarted | PlayStarted | HandlerNotified | Statistics | Prompted | Text | Ended
)


class _Line(RootModel[Annotated[AnsibleEvent, Field(discriminator="kind")]]):
    """One line of the child's output."""


def parse_event(line: str) -> AnsibleEvent:
    """Read one line of the child, without registered secrets: all that it says is for people to read.

    Raises:
        UnavailableError: it is not an event; leaving it out could hide a change, so it is not left out.
    """
    try:
        return _Line.model_validate(redact_data(json.loads(line))).root
    except json.JSONDecodeError as error:
        raise _unreadable(error.msg, f"character {error.pos}") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise _unreadable(first["msg"], ".".join(str(part) for part in first["loc"])) from None


def _unreadable(reason: str, where: str) -> UnavailableError:
    return UnavailableError(
        f"ansible reported an event that cannot be read: {reason}",
        where=where,
        next_step="check that ansible-runner and ansible-core are the versions this release was tested with",
    )
