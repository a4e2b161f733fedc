"""Validate one environment: every suite and probe on every host, one verdict."""

from holdtrue.models.environment import GivenName
from holdtrue.models.report import ValidationReport
from tasks.conclusions import VALIDATE, validation_report
from tasks.fleet import load_environment
from tasks.hosts import host_access
from tasks.infrastructure import read_outputs
from tasks.journal import current_journal
from tasks.policy import FLOW
from tasks.run import as_run
from tasks.submission import flow
from tasks.validation import validate_hosts


@flow(name="validate", timeout_seconds=3600, **FLOW)
@as_run(VALIDATE)
def validate(environment: GivenName) -> ValidationReport:
    """Check one environment's hosts as they are; changes nothing.

    Args:
        environment: Name of the environment: a file in the fleet's `environments` folder.
    """
    declared = load_environment(environment)
    with host_access(declared, read_outputs(declared)) as access:
        verdict = validate_hosts(declared, access)
    return validation_report(environment, verdict, current_journal())
