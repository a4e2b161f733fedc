"""Drift: what differs from what was declared, in one report over all layers."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from holdtrue.models.base import Value
from holdtrue.models.environment import DriftIgnore, DriftLayer
from holdtrue.models.outcome import FlowReport


class DriftVerdict(StrEnum):
    """The three answers. A stable contract; unknown is never in sync."""

    IN_SYNC = "in_sync"
    DRIFTED = "drifted"
    UNKNOWN = "unknown"


class DriftFinding(Value):
    """One difference."""

    layer: DriftLayer
    target: str = Field(description="Resource URN or host name.")
    field: str = Field(description="Property path, task or check.")
    summary: str = Field(description="One line: what is and what should be.")


class NotChecked(Value):
    """Something that was not looked at, and why."""

    layer: DriftLayer | None = Field(description="Null for the environment as a whole.")
    target: str = Field(description="Resource URN or host name; * for all of the layer or environment.")
    field: str = Field(
        default="", description="Task, check or kind of gap, for a rule to name; empty when no rule can accept the gap."
    )
    reason: str


class AcceptedGap(Value):
    """Something that was not looked at, and the rule that accepts it."""

    gap: NotChecked
    rule: DriftIgnore


class LayerDrift(Value):
    """What one layer's check saw."""

    layer: DriftLayer
    findings: tuple[DriftFinding, ...] = ()
    not_checked: tuple[NotChecked, ...] = ()
    unmanaged: tuple[DriftFinding, ...] = ()
    checked: int = Field(ge=0)
    selection: str = Field(default="", description="What the manifest limits the check to; empty for everything.")


class EnvironmentDrift(Value):
    """One environment's drift."""

    environment: str
    without_tests: str = Field(default="", description="Why the manifest lets the program go without unit tests.")
    verdict: DriftVerdict
    findings: tuple[DriftFinding, ...] = ()
    ignored: tuple[DriftFinding, ...] = ()
    unmanaged: tuple[DriftFinding, ...] = Field(
        default=(), description="Differences in what the program itself leaves to others: never drift."
    )
    not_checked: tuple[NotChecked, ...] = ()
    accepted: tuple[AcceptedGap, ...] = ()
    checked: int = Field(ge=0, description="Resources, host tasks and checks that were looked at.")
    expired_rules: tuple[DriftIgnore, ...] = ()
    unused_rules: tuple[DriftIgnore, ...] = ()
    selections: dict[DriftLayer, str] = Field(
        default_factory=dict, description="Layers of which the manifest has only a part checked, and which part."
    )


class DriftReport(FlowReport):
    """The whole fleet's drift."""

    verdict: DriftVerdict
    environments: tuple[EnvironmentDrift, ...]
    started_at: datetime
    duration_seconds: float = Field(ge=0)
