"""Schedules of deployments: who started a run, and a cron that fires every minute for a while."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sandbox.deployment import FinishedRun, wait_for_end
from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from prefect.client.schemas.objects import DeploymentSchedule, FlowRun
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.client.schemas.schedules import SCHEDULE_TYPES

EVERY_MINUTE: Final = "* * * * *"
START_SECONDS: Final = 100.0
"""A minute until the next slot, 5 s of the scheduler, 2 s of the worker, and the start of a run on a busy machine."""

_POLL_SECONDS: Final = 0.5
_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """A run that the scheduler made and a worker carried out to its end."""

    name: str
    scheduled_for: datetime
    started: datetime
    finished: FinishedRun


def pause_schedules() -> None:
    """Let no deployment start runs by itself; what was scheduled is deleted."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - reads its settings when imported

    with get_client(sync_client=True) as client:
        for deployment in client.read_deployments():
            client.pause_deployment(deployment.id)


def resume_schedules() -> None:
    """Let every deployment with a schedule start runs by itself again."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    with get_client(sync_client=True) as client:
        for deployment in client.read_deployments():
            client.resume_deployment(deployment.id)


@contextmanager
def every_minute(*deployments: str) -> Iterator[datetime]:
    """Let the only schedule of each deployment fire every minute, and restore it afterwards.

    Yields the time at which it was set: slots after this time come from it.

    Raises:
        SandboxError: A deployment has no schedule, or several.
    """
    from prefect.client.schemas.schedules import CronSchedule  # noqa: PLC0415

    with ExitStack() as undo:
        for name in deployments:
            deployment, shipped = _only_schedule(name)
            undo.callback(_set_schedule, deployment, shipped, shipped.schedule)
            _set_schedule(deployment, shipped, CronSchedule(cron=EVERY_MINUTE, timezone="UTC"))
        yield datetime.now(UTC)


def scheduled_runs(deployment: str) -> "list[FlowRun]":
    """Return the runs of `flow/deployment` that nobody asked for, by their slot: past, present and to come."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId  # noqa: PLC0415
    from prefect.client.schemas.sorting import FlowRunSort  # noqa: PLC0415

    with get_client(sync_client=True) as client:
        wanted = client.read_deployment_by_name(deployment)
        found = client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[wanted.id])),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=_PAGE,
        )
    return [run for run in found if run.auto_scheduled and run.created_by and run.created_by.type == "SCHEDULE"]


def wait_for_start(deployment: str, since: datetime, *, timeout_seconds: float = START_SECONDS) -> "FlowRun":
    """Wait until a worker has started a run that the scheduler made for a slot at `since` or later; return the first.

    Raises:
        SandboxError: None was started in time.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        runs = [
            run for run in scheduled_runs(deployment) if run.expected_start_time and run.expected_start_time >= since
        ]
        if started := [run for run in runs if run.start_time]:
            return started[0]
        if time.monotonic() > deadline:
            raise SandboxError(_not_started(deployment, runs, since, timeout_seconds))
        time.sleep(_POLL_SECONDS)


def end_of(run: "FlowRun", *, timeout_seconds: float = 180) -> ScheduledRun:
    """Wait for the end of a run that was started.

    Raises:
        SandboxError: it did not end in time.
    """
    if run.expected_start_time is None or run.start_time is None:
        raise SandboxError(f"run {run.name} was not started")
    finished = wait_for_end(run.id, f"scheduled run {run.name}", timeout_seconds=timeout_seconds)
    return ScheduledRun(run.name, standard(run.expected_start_time), standard(run.start_time), finished)


def standard(moment: datetime) -> datetime:
    """Return a time as the standard library's: below Python 3.13 Prefect gives pendulum's, whose methods warn."""
    return datetime.fromtimestamp(moment.timestamp(), UTC)


def _not_started(deployment: str, runs: "Sequence[FlowRun]", since: datetime, seconds: float) -> str:
    upcoming = [f"{run.name} for {run.expected_start_time:%H:%M:%S} is {run.state_name}" for run in runs[:3]]
    return (
        f"no scheduled run of {deployment} was started within {seconds:g} s after {since:%H:%M:%S}; "
        f"scheduled are: {'; '.join(upcoming) or 'none'}. "
        "Next: with none, look at the scheduler in the Prefect server's log; with some, at the worker's log."
    )


def _only_schedule(name: str) -> "tuple[DeploymentResponse, DeploymentSchedule]":
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(name)
    if len(deployment.schedules) != 1:
        count = len(deployment.schedules)
        raise SandboxError(f"{name} has {count} schedules and not one; deploy it as prefect.yaml says.")
    return deployment, deployment.schedules[0]


def _set_schedule(deployment: "DeploymentResponse", known: "DeploymentSchedule", schedule: "SCHEDULE_TYPES") -> None:
    """Change one schedule; the update of its deployment makes the scheduler look again within 5 s."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415
    from prefect.client.schemas.actions import DeploymentScheduleUpdate, DeploymentUpdate  # noqa: PLC0415

    changed = DeploymentScheduleUpdate(slug=known.slug, schedule=schedule, active=known.active)
    with get_client(sync_client=True) as client:
        client.update_deployment(deployment.id, DeploymentUpdate(schedules=[changed]))
