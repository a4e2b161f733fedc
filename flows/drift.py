"""Drift: what differs from what was declared, in infrastructure, configuration and at run time. Read-only."""

import time
from datetime import UTC, date, datetime

from holdtrue.core.drift import judge, overall
from holdtrue.models.drift import DriftReport, EnvironmentDrift
from holdtrue.models.environment import DriftLayer, Environment, GivenName
from tasks.conclusions import conclude_drift
from tasks.configuration import check_configuration
from tasks.drift import look
from tasks.fleet import load_environment, select_environments
from tasks.hosts import host_access_on_demand
from tasks.infrastructure import refresh_stack
from tasks.run import as_run
from tasks.submission import flow
from tasks.validation import check_runtime


@flow(name="drift", persist_result=False, timeout_seconds=3600)
@as_run(conclude=conclude_drift, error_state="Incomplete")
def drift(environments: list[GivenName] | None = None) -> DriftReport:
    """Look for drift in every layer; changes nothing.

    Args:
        environments: Names of the environments to look at; empty means the whole fleet.
    """
    started_at, clock = datetime.now(UTC), time.monotonic()
    fleet = [load_environment(name) for name in select_environments(environments)]
    found = tuple(_look_at(declared, started_at.date()) for declared in fleet)
    return DriftReport(
        verdict=overall(found),
        environments=found,
        started_at=started_at,
        duration_seconds=round(time.monotonic() - clock, 3),
    )


def _look_at(declared: Environment, today: date) -> EnvironmentDrift:
    with host_access_on_demand(declared) as access:
        looks = {
            DriftLayer.INFRASTRUCTURE: lambda: refresh_stack(declared),
            DriftLayer.CONFIGURATION: lambda: check_configuration(declared, access()),
            DriftLayer.RUNTIME: lambda: check_runtime(declared, access()),
        }
        layers = [look(layer, looks[layer]) for layer in declared.drift.layers]
    return judge(declared.name, layers, declared.drift.ignore, today=today)
