"""The events that the child process writes, one a line."""

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from holdtrue.errors import UnavailableError
from holdtrue.models.configuration import FileDiff
from holdtrue.runtime.redaction import redact_data


class _Event(BaseModel):
    """Other fields are ignored: modules add what they like."""

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
    unfinished: bool = False
    """Started in the background (`async`), and not over when the task ended."""
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
    """Every name that notifies the handler, the display name first; empty for a task that is not a handler."""
    run_once: bool = False
    rescue: tuple[str, ...] = ()
    """Tasks that run in place of this one when it fails."""
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
    """Names under which it was reported earlier, before its name was templated."""


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
    """What Ansible printed outside of any task: warnings, and the error that kept the playbook from running."""

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


def parse_event(line: str, *, where: str = "") -> AnsibleEvent:
    """Read one line of the child. Registered secrets are removed from it, because people read what it contains.

    Raises:
        UnavailableError: the line is not an event. It is not skipped, because that could hide a change. `where` tells
            which line of which run it is.
    """
    try:
        return _Line.model_validate(redact_data(json.loads(line))).root
    except json.JSONDecodeError as error:
        raise _unreadable(f"{error.msg} at character {error.pos}", where) from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise _unreadable(f"{first['msg']} in {field or 'the whole event'}", where) from None


def _unreadable(reason: str, where: str) -> UnavailableError:
    return UnavailableError(
        f"an event of ansible-runner cannot be read: {reason}",
        where=where,
        next_step="install the versions of ansible-runner and ansible-core that Holdtrue requires (see `pip check`)",
    )
