"""Validate one environment: every suite and probe on every host, one verdict."""

import time
from datetime import UTC, datetime

from holdtrue.core.junit import render_junit
from holdtrue.models.environment import GivenName
from holdtrue.models.report import ValidationReport
from tasks.conclusions import conclude_validation
from tasks.fleet import load_environment
from tasks.hosts import host_access
from tasks.infrastructure import read_outputs
from tasks.run import as_run, save_report
from tasks.submission import flow
from tasks.validation import validate_hosts


@flow(name="validate", persist_result=False, timeout_seconds=3600)
@as_run(conclude=conclude_validation, error_state="Incomplete")
def validate(environment: GivenName) -> ValidationReport:
    """Check one environment's hosts as they are; changes nothing.

    Args:
        environment: GivenName of the environment: a file in the fleet's `environments` folder.
    """
    started_at, clock = datetime.now(UTC), time.monotonic()
    declared = load_environment(environment)
    with host_access(declared, read_outputs(declared)) as access:
        verdict = validate_hosts(declared, access)
    junit = save_report("junit.xml", render_junit(environment, verdict.checks))
    return ValidationReport(
        environment=environment,
        hosts=access.hosts,
        verdict=verdict,
        junit_path=str(junit),
        started_at=started_at,
        duration_seconds=round(time.monotonic() - clock, 3),
    )
