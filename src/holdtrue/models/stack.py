"""Infrastructure stacks: what a plan, an apply and a refresh say, and the engine's seam."""

from enum import StrEnum
from typing import Protocol

from pydantic import Field, JsonValue

from holdtrue.models.base import ProgressSink, Value, ignore_progress


class Operation(StrEnum):
    """What the engine does to one resource. A stable contract: policies name these."""

    SAME = "same"
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    READ = "read"
    REFRESH = "refresh"


class PropertyChange(Value):
    """One property before and after; secrets and unknowns stay the engine's placeholders."""

    path: str
    before: JsonValue = None
    after: JsonValue = None
    kind: str = Field(default="update", description="add, update or delete, as the engine's detailed diff names it.")


class ResourceChange(Value):
    """What happens, or has happened, to one resource."""

    urn: str
    type: str
    operation: Operation
    changes: tuple[PropertyChange, ...] = ()

    @property
    def name(self) -> str:
        """The resource's own name, the last part of its URN."""
        return self.urn.rsplit("::", 1)[-1]


class Plan(Value):
    """What an apply would do, bound to the program and state it was made from."""

    stack: str
    changes: tuple[ResourceChange, ...] = Field(
        description="Every resource but those that stay the same and those that are only read."
    )
    unchanged: int = Field(ge=0)
    digest: str = Field(description="SHA-256 over the ordered changes; what an approval and a verdict are bound to.")


class StackOutputs(Value):
    """A stack's exported values; secret outputs are absent and only named."""

    values: dict[str, JsonValue]
    secret_names: tuple[str, ...] = ()


class ApplyResult(Value):
    """What an apply has done."""

    changes: tuple[ResourceChange, ...]
    unchanged: int = Field(ge=0)
    outputs: StackOutputs
    notes: tuple[str, ...] = Field(default=(), description="What a reviewer of the plan could not foresee.")


class RefreshResult(Value):
    """What the cloud says, held against the state."""

    changes: tuple[ResourceChange, ...]
    checked: tuple[str, ...] = Field(description="URNs that were read.")
    unchecked: tuple[str, ...] = Field(default=(), description="URNs that could not be read: never in sync.")
    unknown_fate: tuple[str, ...] = Field(
        default=(), description="URNs that a killed run was creating: nobody knows whether they exist."
    )
    unmanaged: tuple[ResourceChange, ...] = Field(
        default=(), description="Differences that the program ignores, or in what it only reads: never drift."
    )


class StackEngine(Protocol):
    """The infrastructure engine, bound to one stack and its credentials.

    Every method may raise ToolMissing, ProgramFailed, StackLocked, AccessDenied, ServiceUnreachable or ResourceMissing.
    """

    def preview(self, on_progress: ProgressSink = ignore_progress) -> Plan:
        """Program against refreshed state; changes nothing."""
        ...

    def apply(self, plan: Plan, on_progress: ProgressSink = ignore_progress) -> ApplyResult:
        """Carry out exactly `plan`; a step that the plan does not hold is refused before it runs."""
        ...

    def detect(self, on_progress: ProgressSink = ignore_progress) -> RefreshResult:
        """Cloud against state, read-only: the state's bytes are equal before and after."""
        ...

    def outputs(self) -> StackOutputs:
        """The outputs of the last apply, read-only."""
        ...
