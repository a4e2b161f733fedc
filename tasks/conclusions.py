"""Which state each report ends its run in. The names are a stable contract: automations match on them."""

from holdtrue.core import render
from holdtrue.core.audit_output.changes import changes_markdown, changes_text
from holdtrue.core.audit_output.json_report import to_json
from holdtrue.core.audit_output.markdown import SIZE_LIMIT, to_markdown
from holdtrue.core.render_sweep import sweep_line, sweep_sections
from holdtrue.models.audit import AuditVerdict
from holdtrue.models.audit_changes import FleetAudit
from holdtrue.models.drift import DriftReport, DriftVerdict
from holdtrue.models.report import ProvisionReport, ValidationReport
from holdtrue.models.sweep import SweepOutcome, SweepReport
from holdtrue.models.validation import VerdictOutcome
from tasks.run import Conclusion


def conclude_provision(report: ProvisionReport) -> Conclusion:
    """`Provisioned` when anything changed, else `Unchanged`."""
    return Conclusion(
        state_name="Provisioned" if report.changed else "Unchanged",
        line=render.provision_line(report),
        sections=render.provision_sections(report),
    )


def conclude_validation(report: ValidationReport) -> Conclusion:
    """`Passed`, `ChecksFailed`, or failed `Incomplete`."""
    states = {
        VerdictOutcome.PASS: "Passed",
        VerdictOutcome.FAIL: "ChecksFailed",
        VerdictOutcome.INCONCLUSIVE: "Incomplete",
    }
    return Conclusion(
        state_name=states[report.verdict.outcome],
        line=render.validation_line(report),
        sections=render.validation_sections(report),
        could_not_look=report.verdict.outcome is VerdictOutcome.INCONCLUSIVE,
    )


def conclude_drift(report: DriftReport) -> Conclusion:
    """`InSync`, `Drifted`, or failed `Incomplete`."""
    states = {
        DriftVerdict.IN_SYNC: "InSync",
        DriftVerdict.DRIFTED: "Drifted",
        DriftVerdict.UNKNOWN: "Incomplete",
    }
    return Conclusion(
        state_name=states[report.verdict],
        line=render.drift_line(report),
        sections=render.drift_sections(report),
        could_not_look=report.verdict is DriftVerdict.UNKNOWN,
    )


def conclude_audit(report: FleetAudit) -> Conclusion:
    """`Clean`, `Vulnerable`, or failed `Incomplete`."""
    states = {
        AuditVerdict.CLEAN: "Clean",
        AuditVerdict.VULNERABLE: "Vulnerable",
        AuditVerdict.INCOMPLETE: "Incomplete",
    }
    changes = changes_markdown(report)
    return Conclusion(
        state_name=states[report.verdict],
        line=f"{render.audit_line(report)}; {changes_text(report)}",
        sections=f"{changes}\n{to_markdown(report, limit_bytes=SIZE_LIMIT - len(changes.encode()))}",
        could_not_look=report.verdict is AuditVerdict.INCOMPLETE,
        document=to_json(report),
    )


def conclude_sweep(report: SweepReport) -> Conclusion:
    """`Swept` when something was revoked, `NothingLeft`, or failed `Incomplete` when something may still live."""
    failed = report.of(SweepOutcome.FAILED) + report.of(SweepOutcome.LOST)
    done = "Swept" if report.of(SweepOutcome.REVOKED) else "NothingLeft"
    return Conclusion(
        state_name="Incomplete" if failed else done,
        line=sweep_line(report),
        sections=sweep_sections(report),
        could_not_look=bool(failed),
    )
