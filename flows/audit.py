"""Audit: known vulnerabilities in what the fleet requires, in what its hosts hold, and in the worker itself."""

from holdtrue.models.audit_changes import FleetAudit
from holdtrue.models.environment import GivenName
from tasks.audit_documents import announce_changes, save_documents
from tasks.audit_memory import compare_with, recall_last_audit, remember
from tasks.conclusions import AUDIT
from tasks.dependencies import audit_fleet
from tasks.fleet import load_fleet
from tasks.policy import FLOW
from tasks.run import as_run
from tasks.submission import flow


@flow(name="audit", timeout_seconds=3600, **FLOW)
@as_run(AUDIT)
def audit(environments: list[GivenName] | None = None) -> FleetAudit:
    """Ask every advisory source once about all dependencies, judge them by each environment's policy, and compare.

    Args:
        environments: Names of the environments to audit; omitted means the whole fleet.
    """
    fleet = load_fleet(environments)
    audited = audit_fleet(fleet)
    last = recall_last_audit()
    compared = compare_with(last, audited.report)
    # Announced before it is remembered: a run that is killed in between is repeated by the next one, not kept quiet.
    announce_changes(compared.changes)
    save_documents(audited)
    remember(audited.report, last, is_whole=fleet.is_whole)
    return compared
