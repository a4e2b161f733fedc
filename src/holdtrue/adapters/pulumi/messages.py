"""The protocol between the worker and the engine's child: one request in, JSON lines out. Standard library only."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeAlias

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"

SECRET = "[secret]"  # noqa: S105 - the placeholder, not a secret
UNKNOWN = "[unknown]"

DEEPEST = 200
"""Levels of a value that are passed on. Pydantic takes 255 of a JSON value, and a report adds some of its own."""

TOO_DEEP = "[nested too deeply]"
"""Stands for what is below these levels."""

FailureSource: TypeAlias = Literal["engine", "message", "event", "state", "moved"]
"""Where a failure comes from: the engine and its CLI, a message that is too large, an event that this version cannot
read, the export of the state, or a state that is not the one that the plan starts from."""

UNCHANGING = frozenset({"same", "refresh", "read"})
"""Operations that may come unplanned, because they change nothing. Any operation not listed here counts as a change."""


class Command(StrEnum):
    """What the child is asked to do."""

    PREVIEW = "preview"
    APPLY = "apply"
    DETECT = "detect"


@dataclass(frozen=True, slots=True)
class Request:
    """One operation on one stack. Credentials are not in it: the child gets them as environment variables."""

    command: Command
    folder: str
    """The private workspace: Pulumi.yaml, Pulumi.<stack>.yaml."""
    project: str
    """Name of the Pulumi project."""
    stack: str
    program: str
    """Folder or file that `pulumi up` would run."""
    plan_file: str
    """Where a preview saves its update plan, and where an apply reads it; empty for none."""
    secrets_provider: str
    cli_version: str
    processes_file: str
    """Where the child records which processes it has started."""
    create_stack: bool = False
    """Whether an apply creates the stack first."""
    allowed: dict[str, list[str]] | None = None
    """The operations, by URN, that an apply without an update plan may start; None for no check."""
    hash_key: str = field(default="", repr=False)
    """The key of the hashes that bind a plan, in hex; empty for a command that needs none."""
    state_hash: str = ""
    """The hash of the state that the plan of an apply starts from."""


def write_request(request: Request) -> str:
    """The request as one JSON document."""
    return json.dumps(asdict(request))


def parse_request(text: str) -> Request:
    """Read what `write_request` wrote."""
    raw: dict[str, Any] = json.loads(text)
    return Request(**{**raw, "command": Command(raw["command"])})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A resource's properties at one moment, with placeholders for secret values and those not known yet."""

    inputs: dict[str, Json] = field(default_factory=dict)
    outputs: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One resource event of the engine."""

    phase: Literal["started", "done", "failed"]
    operation: str
    """The engine's name of the operation, such as `create-replacement`."""
    urn: str
    type: str
    custom: bool = True
    """False for components, which group resources and do not exist in a cloud."""
    before: Snapshot | None = None
    after: Snapshot | None = None
    paths: dict[str, str] = field(default_factory=dict)
    """The provider's own detailed diff, path to kind, where it gives one."""
    kind: Literal["step"] = "step"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A message of the program, a provider or the engine."""

    severity: str
    text: str
    urn: str = ""
    kind: Literal["diagnostic"] = "diagnostic"


@dataclass(frozen=True, slots=True)
class StackAbsent:
    """The backend has no such stack; a preview then continues with an empty one in the private folder."""

    kind: Literal["absent"] = "absent"


@dataclass(frozen=True, slots=True)
class Restarted:
    """The program reads other stacks, which were fetched: discard what was sent, because the preview starts again."""

    stacks: tuple[str, ...]
    kind: Literal["restarted"] = "restarted"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A resource of a provider as the state records it."""

    urn: str
    external: bool = False
    """True for what the program only reads: a stack reference, or what `.get()` returns."""
    ignored_paths: tuple[str, ...] = ()
    """Its `ignore_changes`."""


@dataclass(frozen=True, slots=True)
class State:
    """What the state contains; the state of a large stack is sent in parts."""

    resources: tuple[Recorded, ...]
    cut_short: tuple[str, ...] = ()
    """URNs that a killed engine was creating; the state does not record whether they exist."""
    hashes: dict[str, str] = field(default_factory=dict)
    """A keyed hash of what the state records about each resource, by URN."""
    kind: Literal["state"] = "state"


@dataclass(frozen=True, slots=True)
class Inputs:
    """Keyed hashes of what the program gives to the resources that change, by URN; sent in parts."""

    hashes: dict[str, str]
    kind: Literal["inputs"] = "inputs"


@dataclass(frozen=True, slots=True)
class Unplanned:
    """An apply without an update plan started a step that is not allowed; the engine was interrupted."""

    urn: str
    operation: str
    kind: Literal["unplanned"] = "unplanned"


@dataclass(frozen=True, slots=True)
class Failed:
    """The command failed, or what it did is not known completely; `text` says why."""

    text: str
    source: FailureSource = "engine"
    kind: Literal["failed"] = "failed"


@dataclass(frozen=True, slots=True)
class Finished:
    """The command succeeded, and every event was passed on."""

    kind: Literal["finished"] = "finished"


Message: TypeAlias = Step | Diagnostic | StackAbsent | Restarted | State | Inputs | Unplanned | Failed | Finished


_FLAT: dict[str, Callable[..., Message]] = {
    "inputs": Inputs,
    "diagnostic": Diagnostic,
    "absent": StackAbsent,
    "unplanned": Unplanned,
    "failed": Failed,
    "finished": Finished,
}
"""Messages whose fields are those of the JSON line."""


def write_message(message: Message) -> str:
    """The message as one line."""
    return json.dumps(asdict(message), separators=(",", ":"))


def parse_message(line: str) -> Message:
    """Read what `write_message` wrote.

    Raises:
        ValueError: the line is not a message.
    """
    raw: dict[str, Any] = json.loads(line)
    match raw:
        case {"kind": "step"}:
            sides = {side: Snapshot(**raw[side]) if raw[side] else None for side in ("before", "after")}
            return Step(**{**raw, **sides})
        case {"kind": "state"}:
            recorded = (
                Recorded(**{**item, "ignored_paths": tuple(item["ignored_paths"])}) for item in raw["resources"]
            )
            return State(resources=tuple(recorded), cut_short=tuple(raw["cut_short"]), hashes=raw["hashes"])
        case {"kind": "restarted"}:
            return Restarted(stacks=tuple(raw["stacks"]))
        case {"kind": "diagnostic" | "absent" | "inputs" | "unplanned" | "failed" | "finished" as kind}:
            return _FLAT[kind](**raw)
        case _:
            raise ValueError(f"not a message of the engine's child: {line[:80]}")
