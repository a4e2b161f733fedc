"""Provision one environment: from a tested program to traffic on proved hosts."""

from holdtrue.models.environment import GivenDigest, GivenName
from holdtrue.models.report import ProvisionReport
from tasks.approval import require_approval
from tasks.conclusions import PROVISION, provision_report
from tasks.configuration import configure_hosts, prove_idempotent
from tasks.dependencies import audit_before_changes, require_audit
from tasks.fleet import load_environment
from tasks.hosts import host_access
from tasks.infrastructure import apply_stack, preview_stack, test_program
from tasks.journal import current_journal
from tasks.lock import environment_lock
from tasks.policy import FLOW
from tasks.preflight import require_prerequisites
from tasks.run import as_run
from tasks.submission import flow
from tasks.traffic import shift_traffic
from tasks.validation import require_pass, require_templates, validate_hosts


@flow(name="provision", timeout_seconds=14400, **FLOW)
@as_run(PROVISION, expected_stages=11)
def provision(environment: GivenName, approved_plan: GivenDigest | None = None) -> ProvisionReport:
    """Make one environment what its manifest says, and prove it before traffic moves.

    Args:
        environment: Name of the environment: a file in the fleet's `environments` folder.
        approved_plan: Digest of a plan with deletes or replaces that a person has reviewed and lets run.
    """
    declared = load_environment(environment)
    with environment_lock(declared) as lock:
        require_prerequisites(declared)
        test_program(declared)
        require_audit(declared, audit_before_changes(declared))
        plan = preview_stack(declared)
        require_approval(declared, plan, approved_plan)
        applied = apply_stack(declared, plan, lock)
        require_templates(declared, applied.outputs)
        with host_access(declared, applied.outputs) as access:
            configure_hosts(declared, access, lock)
            prove_idempotent(declared, access, lock)
            verdict = validate_hosts(declared, access, plan.digest)
        require_pass(verdict)
        shift_traffic(declared, access, plan, verdict, lock)
    return provision_report(environment, current_journal())
