"""What a provision and a validation leave behind."""

from datetime import datetime

from pydantic import Field

from holdtrue.models.approval import Approval
from holdtrue.models.audit_changes import EnvironmentAudit
from holdtrue.models.base import Value
from holdtrue.models.configuration import ConfigurationRun
from holdtrue.models.host import Host
from holdtrue.models.outcome import FlowReport
from holdtrue.models.preflight import PreflightReport
from holdtrue.models.stack import ApplyResult, Plan
from holdtrue.models.traffic import TrafficShift
from holdtrue.models.validation import Verdict


class ProgramTests(Value):
    """What the infrastructure program's own unit tests said."""

    passed: int = Field(ge=0)
    failed: tuple[str, ...] = ()
    skipped: int = Field(default=0, ge=0)
    none_because: str = Field(
        default="", description="Why the manifest lets the program go without tests; then none has run."
    )


class ProvisionReport(FlowReport):
    """One provision. What its run did not reach is null; what a failed stage had done by then is there."""

    environment: str
    preflight: PreflightReport | None = None
    program_tests: ProgramTests | None = None
    audit: EnvironmentAudit | None = None
    plan: Plan | None = None
    approval: Approval | None = Field(default=None, description="Who approved the plan; null if nobody had to.")
    applied: ApplyResult | None = None
    hosts: tuple[Host, ...] = ()
    configured: ConfigurationRun | None = Field(default=None, description="The first run of the playbook.")
    verified: ConfigurationRun | None = Field(default=None, description="The second run, which may change nothing.")
    verdict: Verdict | None = None
    traffic: TrafficShift | None = Field(default=None, description="Null also when there is no traffic to move.")
    started_at: datetime
    duration_seconds: float = Field(ge=0)

    @property
    def changed(self) -> bool:
        """Whether anything at all was changed."""
        return bool(
            (self.applied is not None and self.applied.changes)
            or (self.configured is not None and self.configured.changed)
            or (self.traffic is not None and self.traffic.changed)
        )


class ValidationReport(FlowReport):
    """One validation of an environment."""

    environment: str
    without_tests: str = Field(default="", description="Why the manifest lets the program go without unit tests.")
    hosts: tuple[Host, ...]
    verdict: Verdict
    started_at: datetime
    duration_seconds: float = Field(ge=0)
