"""What a provision and a validation hand back."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from holdtrue.models.audit_changes import EnvironmentAudit
from holdtrue.models.base import Value
from holdtrue.models.configuration import ConfigurationRun
from holdtrue.models.host import Host
from holdtrue.models.preflight import PreflightReport
from holdtrue.models.stack import ApplyResult, Plan
from holdtrue.models.traffic import TrafficShift
from holdtrue.models.validation import Verdict


class StageOutcome(StrEnum):
    """How a stage of a run ended."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StageRecord(Value):
    """One stage of a run."""

    name: str
    outcome: StageOutcome
    summary: str = ""
    duration_seconds: float = Field(ge=0)


class ProgramTests(Value):
    """What the infrastructure program's own unit tests said."""

    passed: int = Field(ge=0)
    failed: tuple[str, ...] = ()
    skipped: int = Field(default=0, ge=0)


class ProvisionReport(Value):
    """One provision that reached its end."""

    environment: str
    preflight: PreflightReport
    program_tests: ProgramTests
    audit: EnvironmentAudit
    plan: Plan
    applied: ApplyResult
    hosts: tuple[Host, ...]
    configured: ConfigurationRun
    verified: ConfigurationRun
    verdict: Verdict
    traffic: TrafficShift | None
    started_at: datetime
    duration_seconds: float = Field(ge=0)

    @property
    def changed(self) -> bool:
        """Whether anything at all was changed."""
        moved = self.traffic is not None and self.traffic.moved
        return bool(self.applied.changes or self.configured.changed or moved)


class ValidationReport(Value):
    """One validation of an environment."""

    environment: str
    hosts: tuple[Host, ...]
    verdict: Verdict
    junit_path: str
    started_at: datetime
    duration_seconds: float = Field(ge=0)
