"""Audit: known vulnerabilities in what the fleet requires and in the worker itself."""

import time
from datetime import UTC, datetime

from holdtrue.core.audit import merge
from holdtrue.models.advisory import AuditReport
from holdtrue.models.environment import GivenName
from holdtrue.settings import load_settings
from tasks.conclusions import conclude_audit
from tasks.dependencies import audit_each, audit_targets
from tasks.fleet import load_environment, select_environments
from tasks.run import as_run
from tasks.submission import flow


@flow(name="audit", persist_result=False, timeout_seconds=3600)
@as_run(conclude=conclude_audit, error_state="Incomplete")
def audit(environments: list[GivenName] | None = None) -> AuditReport:
    """Ask an OSV endpoint about every dependency, once for the whole batch.

    Args:
        environments: Names of the environments to audit; empty means the whole fleet.
    """
    started_at, clock = datetime.now(UTC), time.monotonic()
    fleet = [load_environment(name) for name in select_environments(environments)]
    audits, failures = audit_each(audit_targets(fleet))
    return merge(
        audits,
        failures,
        source=str(load_settings().osv_url),
        started_at=started_at,
        duration_seconds=round(time.monotonic() - clock, 3),
    )
