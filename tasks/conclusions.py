"""Which state each report ends its run in, and what to do next. The names are a stable contract for automations."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from holdtrue.core import render
from holdtrue.core.audit_output.changes import changes_markdown, changes_text
from holdtrue.core.audit_output.json_report import to_json
from holdtrue.core.audit_output.markdown import SIZE_LIMIT, to_markdown
from holdtrue.core.drift import environment_unknown, overall
from holdtrue.core.render_drift import drift_line, drift_sections
from holdtrue.core.render_sweep import sweep_line, sweep_sections
from holdtrue.errors import HoldtrueError
from holdtrue.models.approval import Approval
from holdtrue.models.audit import AuditCounts, AuditVerdict, NotAudited
from holdtrue.models.audit_changes import AuditChanges, EnvironmentAudit, FleetAudit
from holdtrue.models.configuration import ConfigurationRun
from holdtrue.models.drift import DriftReport, DriftVerdict, EnvironmentDrift
from holdtrue.models.environment import Environment
from holdtrue.models.preflight import PreflightReport
from holdtrue.models.report import ProgramTests, ProvisionReport, ValidationReport
from holdtrue.models.stack import ApplyResult, Plan
from holdtrue.models.sweep import FolderOutcome, SweepOutcome, SweepReport
from holdtrue.models.traffic import TrafficShift
from holdtrue.models.validation import Verdict, VerdictOutcome
from tasks.approval import APPROVAL
from tasks.fleet import FLEET, Fleet
from tasks.hosts import hosts_of
from tasks.journal import Journal
from tasks.run import Conclusion, FlowEnding


def provision_report(environment: str, journal: Journal) -> ProvisionReport:
    """What a provision has done so far, from the results of its stages."""
    return ProvisionReport(
        environment=environment,
        preflight=journal.result("require prerequisites", PreflightReport),
        program_tests=journal.result("test program", ProgramTests),
        audit=journal.result("audit before changes", EnvironmentAudit),
        plan=journal.result("preview stack", Plan),
        approval=journal.result(APPROVAL, Approval),
        applied=journal.result("apply stack", ApplyResult),
        hosts=hosts_of(journal),
        configured=journal.result("configure hosts", ConfigurationRun),
        verified=journal.result("prove idempotent", ConfigurationRun),
        verdict=journal.result("validate hosts", Verdict),
        traffic=journal.result("shift traffic", TrafficShift),
        started_at=journal.started_at,
        duration_seconds=journal.duration_seconds,
    )


def _provision_broken(_: HoldtrueError, journal: Journal, arguments: Mapping[str, Any]) -> ProvisionReport:
    return provision_report(str(arguments["environment"]), journal)


def _conclude_provision(report: ProvisionReport) -> Conclusion:
    return Conclusion(
        state_name="Provisioned" if report.changed else "Unchanged",
        is_good=True,
        line=render.provision_line(report),
        sections=render.provision_sections(report),
    )


PROVISION: Final = FlowEnding(_conclude_provision, _provision_broken)
"""`Provisioned` when anything changed, else `Unchanged`; or the state of the stage that failed."""


def validation_report(environment: str, verdict: Verdict, journal: Journal) -> ValidationReport:
    """What a validation has seen."""
    declared = journal.result("load environment", Environment)
    return ValidationReport(
        environment=environment,
        without_tests=(declared and declared.infrastructure.without_tests) or "",
        hosts=hosts_of(journal),
        verdict=verdict,
        started_at=journal.started_at,
        duration_seconds=journal.duration_seconds,
    )


def _validation_broken(error: HoldtrueError, journal: Journal, arguments: Mapping[str, Any]) -> ValidationReport:
    name = str(arguments["environment"])
    nothing = Verdict(
        outcome=VerdictOutcome.INCONCLUSIVE,
        environment=name,
        hosts=(),
        plan_digest="",
        checks=(),
        reasons=(str(error),),
        decided_at=journal.started_at,
        expires_at=journal.started_at,
    )
    return validation_report(name, journal.result("validate hosts", Verdict) or nothing, journal)


def _conclude_validation(report: ValidationReport) -> Conclusion:
    outcome = report.verdict.outcome
    state_name, next_step = {
        VerdictOutcome.PASS: ("Passed", ""),
        VerdictOutcome.FAIL: ("ChecksFailed", "fix what failed, then validate again"),
        VerdictOutcome.INCONCLUSIVE: (
            "Incomplete",
            "fix what prevented the listed checks, then validate again",
        ),
    }[outcome]
    return Conclusion(
        state_name=state_name,
        is_good=outcome is VerdictOutcome.PASS,
        line=render.validation_line(report),
        sections=render.validation_sections(report),
        next_step=next_step,
    )


VALIDATE: Final = FlowEnding(_conclude_validation, _validation_broken, error_state="Incomplete")
"""`Passed`; failed `ChecksFailed` or `Incomplete`."""


def drift_report(fleet: Fleet, found: Sequence[EnvironmentDrift], journal: Journal) -> DriftReport:
    """What the run has found; an environment of the fleet that was not looked at is unknown."""
    seen = {drift.environment: drift for drift in found}
    unknown = {name: environment_unknown(name, reason) for name, reason in fleet.unreadable.items()}
    environments = tuple(
        seen.get(name) or unknown.get(name) or environment_unknown(name, "the run ended before it was looked at")
        for name in fleet.names
    )
    return DriftReport(
        verdict=overall(environments),
        environments=environments,
        started_at=journal.started_at,
        duration_seconds=journal.duration_seconds,
    )


def _drift_broken(_: HoldtrueError, journal: Journal, __: Mapping[str, Any]) -> DriftReport:
    fleet = journal.result(FLEET, Fleet) or Fleet()
    return drift_report(fleet, journal.results_of(EnvironmentDrift), journal)


def _conclude_drift(report: DriftReport) -> Conclusion:
    state_name, next_step = {
        DriftVerdict.IN_SYNC: ("InSync", ""),
        DriftVerdict.DRIFTED: (
            "Drifted",
            "provision the named environments to undo it (or do what the finding says), change the declaration to "
            "match, or accept it with a rule in drift.ignore",
        ),
        DriftVerdict.UNKNOWN: (
            "Incomplete",
            "fix what prevented the listed checks, then check again; or accept a gap with a rule in drift.ignore that"
            " names its field",
        ),
    }[report.verdict]
    return Conclusion(
        state_name=state_name,
        is_good=report.verdict is DriftVerdict.IN_SYNC,
        line=drift_line(report),
        sections=drift_sections(report),
        next_step=next_step,
    )


DRIFT: Final = FlowEnding(_conclude_drift, _drift_broken, error_state="Incomplete")
"""`InSync`; failed `Drifted` or `Incomplete`."""


def _audit_broken(error: HoldtrueError, journal: Journal, _: Mapping[str, Any]) -> FleetAudit:
    return FleetAudit(
        verdict=AuditVerdict.INCOMPLETE,
        counts=AuditCounts(audited=0, not_audited=1),
        findings=(),
        not_audited=(NotAudited(name="everything", reason=str(error)),),
        started_at=journal.started_at,
        duration_seconds=journal.duration_seconds,
        changes=AuditChanges(since=None),
        not_compared="this audit was not made",
    )


def _conclude_audit(report: FleetAudit) -> Conclusion:
    state_name, next_step = {
        AuditVerdict.CLEAN: ("Clean", ""),
        AuditVerdict.VULNERABLE: (
            "Vulnerable",
            "update what is named (`holdtrue fix FILE` proposes versions), or waive it with a reason and an end",
        ),
        AuditVerdict.INCOMPLETE: ("Incomplete", "fix what kept the listed items from being audited, then audit again"),
    }[report.verdict]
    changes = changes_markdown(report)
    return Conclusion(
        state_name=state_name,
        is_good=report.verdict is AuditVerdict.CLEAN,
        line=f"{render.audit_line(report)}; {changes_text(report)}",
        sections=f"{changes}\n{to_markdown(report, limit_bytes=SIZE_LIMIT - len(changes.encode()))}",
        next_step=next_step,
        document=to_json(report),
    )


AUDIT: Final = FlowEnding(_conclude_audit, _audit_broken, error_state="Incomplete")
"""`Clean`; failed `Vulnerable` or `Incomplete`."""


_SWEEP_ADVICE: Final = (
    "the table says why. The next sweep tries again what failed; what is lost stays listed until 24 h after its request"
)


def _sweep_broken(_: HoldtrueError, journal: Journal, __: Mapping[str, Any]) -> SweepReport:
    return SweepReport(
        leases=(), dead_runs=0, live_runs=0, started_at=journal.started_at, duration_seconds=journal.duration_seconds
    )


def _conclude_sweep(report: SweepReport) -> Conclusion:
    failed = report.of(SweepOutcome.FAILED) + report.of(SweepOutcome.LOST)
    found = report.of(SweepOutcome.REVOKED) or report.folders_of(FolderOutcome.REMOVED)
    done = "Swept" if found else "NothingLeft"
    return Conclusion(
        state_name="Incomplete" if failed else done,
        is_good=not failed,
        line=sweep_line(report),
        sections=sweep_sections(report),
        next_step=_SWEEP_ADVICE if failed else "",
    )


SWEEP: Final = FlowEnding(_conclude_sweep, _sweep_broken, error_state="Incomplete")
"""`Swept` when something was revoked or removed, `NothingLeft`; failed `Incomplete` when something may still live."""
