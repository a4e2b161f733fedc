"""Provision one environment: from a tested program to traffic on proved hosts."""

import time
from datetime import UTC, datetime

from holdtrue.models.environment import GivenDigest, GivenName
from holdtrue.models.report import ProvisionReport
from tasks.approval import require_approval
from tasks.conclusions import conclude_provision
from tasks.configuration import configure_hosts, prove_idempotent
from tasks.dependencies import audit_before_changes, require_audit
from tasks.fleet import load_environment
from tasks.hosts import host_access
from tasks.infrastructure import apply_stack, preview_stack, test_program
from tasks.lock import environment_lock
from tasks.preflight import require_prerequisites
from tasks.run import as_run
from tasks.submission import flow
from tasks.traffic import shift_traffic
from tasks.validation import require_pass, validate_hosts


@flow(name="provision", persist_result=False, timeout_seconds=14400)
@as_run(conclude=conclude_provision, expected_stages=11)
def provision(environment: GivenName, approved_plan: GivenDigest | None = None) -> ProvisionReport:
    """Make one environment what its manifest says, and prove it before traffic moves.

    Args:
        environment: Name of the environment: a file in the fleet's `environments` folder.
        approved_plan: Digest of a plan with deletes or replaces that a person has reviewed and lets run.
    """
    started_at, clock = datetime.now(UTC), time.monotonic()
    declared = load_environment(environment)
    with environment_lock(declared) as lock:
        preflight = require_prerequisites(declared)
        program_tests = test_program(declared)
        audited = audit_before_changes(declared)
        require_audit(declared, audited)
        plan = preview_stack(declared)
        require_approval(declared, plan, approved_plan)
        applied = apply_stack(declared, plan, lock)
        with host_access(declared, applied.outputs) as access:
            configured = configure_hosts(declared, access, lock)
            verified = prove_idempotent(declared, access, lock)
            verdict = validate_hosts(declared, access, plan.digest)
        require_pass(verdict)
        traffic = shift_traffic(declared, access, plan, verdict, lock)
    return ProvisionReport(
        environment=environment,
        preflight=preflight,
        program_tests=program_tests,
        audit=audited,
        plan=plan,
        applied=applied,
        hosts=access.hosts,
        configured=configured,
        verified=verified,
        verdict=verdict,
        traffic=traffic,
        started_at=started_at,
        duration_seconds=round(time.monotonic() - clock, 3),
    )
