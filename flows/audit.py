"""Audit: known vulnerabilities in what the fleet requires, in what its hosts hold, and in the worker itself."""

from holdtrue.models.audit_changes import FleetAudit
from holdtrue.models.environment import GivenName
from tasks.audit_documents import announce_new, save_documents
from tasks.audit_memory import compare_with_last
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
    save_documents(audited)
    compared = compare_with_last(audited.report, is_whole=environments is None)
    announce_new(compared.changes)
    return compared
