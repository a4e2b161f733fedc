"""Drift: what differs from what was declared, in infrastructure, configuration and at run time. Read-only."""

from holdtrue.models.drift import DriftReport
from holdtrue.models.environment import GivenName
from tasks.conclusions import DRIFT, drift_report
from tasks.drift import list_unreadable, look_at
from tasks.fleet import load_fleet
from tasks.journal import current_journal
from tasks.policy import FLOW
from tasks.run import as_run
from tasks.submission import flow


@flow(name="drift", timeout_seconds=3600, **FLOW)
@as_run(DRIFT)
def drift(environments: list[GivenName] | None = None) -> DriftReport:
    """Look for drift in every layer; changes nothing.

    Args:
        environments: Names of the environments to look at; omitted means the whole fleet.
    """
    journal = current_journal()
    fleet = load_fleet(environments)
    unreadable = list_unreadable(fleet)
    found = [look_at(declared, today=journal.started_at.date()) for declared in fleet.environments]
    return drift_report(fleet, [*unreadable, *found], journal)
