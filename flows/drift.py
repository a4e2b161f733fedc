"""Drift: what differs from what was declared, in infrastructure, configuration and at run time. Read-only."""

from collections.abc import Callable, Mapping

from holdtrue.models.drift import DriftReport, LayerDrift
from holdtrue.models.environment import DriftLayer, Environment, GivenName
from tasks.conclusions import DRIFT, drift_report
from tasks.configuration import check_configuration
from tasks.drift import Access, look_at
from tasks.fleet import load_fleet
from tasks.infrastructure import refresh_stack
from tasks.journal import current_journal
from tasks.policy import FLOW
from tasks.run import as_run
from tasks.submission import flow
from tasks.validation import check_runtime


@flow(name="drift", timeout_seconds=3600, **FLOW)
@as_run(DRIFT)
def drift(environments: list[GivenName] | None = None) -> DriftReport:
    """Look for drift in every layer; changes nothing.

    Args:
        environments: Names of the environments to look at; empty means the whole fleet.
    """
    journal = current_journal()
    fleet = load_fleet(environments)
    found = [look_at(declared, _layers(declared), today=journal.started_at.date()) for declared in fleet.environments]
    return drift_report(fleet, found, journal)


def _layers(declared: Environment) -> Callable[[Access], Mapping[DriftLayer, Callable[[], LayerDrift]]]:
    return lambda access: {
        DriftLayer.INFRASTRUCTURE: lambda: refresh_stack(declared),
        DriftLayer.CONFIGURATION: lambda: check_configuration(declared, access()),
        DriftLayer.RUNTIME: lambda: check_runtime(declared, access()),
    }
