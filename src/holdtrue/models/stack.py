"""Infrastructure stacks: results of a plan, an apply and a refresh, and the protocol of the engine."""

from enum import StrEnum
from typing import Protocol

from pydantic import Field, JsonValue

from holdtrue.models.base import ProgressSink, Value, ignore_progress


class Operation(StrEnum):
    """What the engine does to one resource. The values are a stable contract: policies contain them."""

    SAME = "same"
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    READ = "read"
    REFRESH = "refresh"


class PropertyChange(Value):
    """One property before and after; secret and unknown values are placeholders."""

    path: str
    before: JsonValue = None
    after: JsonValue = None
    kind: str = Field(default="update", description="add, update or delete, as the engine's detailed diff names it.")


class ResourceChange(Value):
    """A planned or completed change of one resource."""

    urn: str
    type: str
    operation: Operation
    changes: tuple[PropertyChange, ...] = ()

    @property
    def name(self) -> str:
        """The resource's own name, the last part of its URN."""
        return self.urn.rsplit("::", 1)[-1]


class PlanPart(StrEnum):
    """What a plan's digest covers, in the order in which differences are named."""

    PLACE = "place"
    PROGRAM = "program"
    CONFIGURATION = "configuration"
    STATE = "state"
    STEPS = "steps"
    INPUTS = "inputs"
    OUTPUTS = "outputs"


PlanParts = dict[PlanPart, dict[str, str]]
"""For each part the keyed hash of each item, by the item's name: a file, a setting, a URN."""


class Plan(Value):
    """What an apply would do, for one version of the program and the state."""

    stack: str
    changes: tuple[ResourceChange, ...] = Field(
        description="Every resource except those that do not change and those that are only read."
    )
    unchanged: int = Field(ge=0)
    digest: str = Field(
        description="SHA-256 over the environment, the project, stack and backend, the program's files, the stack's "
        "configuration, the state it starts from, and each step with its properties, secret ones included. Of outputs "
        "it covers only the names. Approvals and verdicts refer to it."
    )
    parts: PlanParts = Field(
        default_factory=dict, exclude=True, repr=False, description="What the digest was made of; not in reports."
    )


class StackOutputs(Value):
    """A stack's exported values; of a secret output only the name is kept."""

    values: dict[str, JsonValue]
    secret_names: tuple[str, ...] = ()


class ApplyResult(Value):
    """What an apply has carried out."""

    changes: tuple[ResourceChange, ...]
    unchanged: int = Field(ge=0)
    outputs: StackOutputs
    notes: tuple[str, ...] = Field(
        default=(), description="Results that a reviewer of the plan could not see, such as outputs that differ."
    )


class RefreshResult(Value):
    """The differences between the cloud and the state."""

    changes: tuple[ResourceChange, ...]
    checked: tuple[str, ...] = Field(description="URNs that were read.")
    unchecked: tuple[str, ...] = Field(
        default=(), description="URNs that could not be read; they never count as in sync."
    )
    unknown_fate: tuple[str, ...] = Field(
        default=(), description="URNs that a killed run was creating: Pulumi cannot tell whether they exist."
    )
    unmanaged: tuple[ResourceChange, ...] = Field(
        default=(),
        description="Differences that the program ignores, or in resources that it only reads; they are never drift.",
    )


class StackEngine(Protocol):
    """The infrastructure engine for one stack, with its credentials.

    Every method may raise ToolMissing, ProgramFailed, StackLocked, AccessDenied, ServiceUnreachable or ResourceMissing.
    """

    def preview(self, on_progress: ProgressSink = ignore_progress) -> Plan:
        """Compare the program with the refreshed state; changes nothing."""
        ...

    def apply(self, plan: Plan, on_progress: ProgressSink = ignore_progress) -> ApplyResult:
        """Carry out exactly `plan`; a step that it does not contain is refused or interrupts the engine."""
        ...

    def detect(self, on_progress: ProgressSink = ignore_progress) -> RefreshResult:
        """Compare the cloud with the state; read-only, so that the state's files do not change."""
        ...

    def outputs(self) -> StackOutputs:
        """The outputs of the last apply, read-only."""
        ...
