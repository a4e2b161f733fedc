"""Audit: known vulnerabilities in what the fleet requires, in what its hosts hold, and in the worker itself."""

from holdtrue.models.audit_changes import FleetAudit
from holdtrue.models.environment import GivenName
from tasks.audit_documents import announce_changes, save_documents
from tasks.audit_memory import compare_with, recall_last_audit, remember
from tasks.conclusions import conclude_audit
from tasks.dependencies import audit_environments
from tasks.fleet import load_environment, select_environments
from tasks.run import as_run
from tasks.submission import flow


@flow(name="audit", persist_result=False, timeout_seconds=3600)
@as_run(conclude=conclude_audit, error_state="Incomplete")
def audit(environments: list[GivenName] | None = None) -> FleetAudit:
    """Ask every advisory source once about all dependencies, judge them by each environment's policy, and compare.

    Args:
        environments: Names of the environments to audit; empty means the whole fleet.
    """
    fleet = [load_environment(name) for name in select_environments(environments)]
    audited = audit_environments(fleet)
    last = recall_last_audit()
    compared = compare_with(last, audited.report)
    # Announced before it is remembered: a run that is killed in between is repeated by the next one, not kept quiet.
    announce_changes(compared.changes)
    save_documents(audited)
    remember(audited.report, last, is_whole=environments is None)
    return compared
