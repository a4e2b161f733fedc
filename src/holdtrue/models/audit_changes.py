"""What changed between two audits, and what flows hand back of an audit."""

from datetime import datetime

from pydantic import Field

from holdtrue.models.audit import AuditCounts, AuditReport, AuditVerdict, Finding
from holdtrue.models.base import Value
from holdtrue.models.outcome import FlowReport


class AuditChanges(Value):
    """The findings of two audits, told apart; tolerated ones too, for a tolerated finding is not mended."""

    since: datetime | None = Field(description="When the previous audit started; null when there was none.")
    new: tuple[Finding, ...] = Field(default=(), description="Found now, and not the last time.")
    known: tuple[Finding, ...] = Field(default=(), description="Found both times; as it stands now.")
    counts_now: tuple[Finding, ...] = Field(
        default=(),
        description="Of the known ones, those that count now and were tolerated the last time: a waiver has expired, "
        "the time to fix has run out, or the policy has become stricter.",
    )
    fixed: tuple[Finding, ...] = Field(
        default=(), description="Found the last time and not now, where it was looked for."
    )
    not_looked_at: tuple[Finding, ...] = Field(
        default=(), description="Found the last time; this time nobody could tell whether it is still there."
    )


class FleetAudit(AuditReport, FlowReport):
    """The audit of a fleet, beside the one before it."""

    changes: AuditChanges
    not_compared: str = Field(default="", description="Why there was nothing to compare it with; all is new then.")


class EnvironmentAudit(Value):
    """What a provision keeps of the audit of its environment."""

    verdict: AuditVerdict
    line: str = Field(description="One line of outcome.")
    counts: AuditCounts | None = Field(default=None, description="Null when the audit could not be made at all.")
    notes: tuple[str, ...] = Field(default=(), description="What there was not yet to look at.")
