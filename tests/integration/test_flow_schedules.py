"""What `prefect deploy --all` sets up happens by itself: runs are scheduled for their slots, started, and end.

The test waits one minute: `sweep` starts every minute as shipped, and so do `drift` and `audit` during the test.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun

from sandbox import SandboxError
from sandbox.deployment import deploy_all, flow_environment
from sandbox.schedules import (
    ScheduledRun,
    end_of,
    every_minute,
    pause_schedules,
    resume_schedules,
    scheduled_runs,
    standard,
    wait_for_start,
)
from tests.integration.flow_stage import Stage, provide_baseline

SCHEDULED: Final = ("drift/drift", "audit/audit", "sweep/sweep")
ENDS: Final = {
    "drift/drift": {"InSync", "Drifted", "Incomplete"},
    "audit/audit": {"Clean", "Vulnerable", "Incomplete"},
    "sweep/sweep": {"NothingLeft", "Swept", "Incomplete"},
}
SLOTS: Final[Mapping[str, Callable[[datetime], bool]]] = {
    "drift/drift": lambda slot: slot.minute == 0,
    "audit/audit": lambda slot: (slot.hour, slot.minute) == (4, 30),
    "sweep/sweep": lambda _: True,
}
"""Whether a time is a slot of the shipped cron."""
ZONES: Final = {
    "drift/drift": ZoneInfo("UTC"),
    "audit/audit": ZoneInfo("Europe/Berlin"),
    "sweep/sweep": ZoneInfo("UTC"),
}
PERIODS: Final = {
    "drift/drift": timedelta(hours=1),
    "audit/audit": timedelta(days=1),
    "sweep/sweep": timedelta(minutes=1),
}
SCHEDULER_SECONDS: Final = 30.0
SOON: Final = timedelta(seconds=45)
"""How long after its slot a run has begun on a busy machine."""


@dataclass(frozen=True, slots=True)
class Upcoming:
    """What was scheduled after a deploy, by deployment, and when that was."""

    deployed: datetime
    slots: Mapping[str, list[datetime]]


@pytest.fixture(scope="module")
def quiet_stage(joined_stage: Stage) -> Iterator[Stage]:
    """The quick environment alone, provisioned; afterwards no schedule fires again in this session."""
    fleet = joined_stage.fleet
    fleet.reset()
    provide_baseline(joined_stage)
    for other in ("demo", "cloud"):
        (fleet.root / "environments" / f"{other}.yaml").unlink()
    yield joined_stage
    pause_schedules()
    fleet.reset()


@pytest.fixture(scope="module")
def upcoming(quiet_stage: Stage) -> tuple[Upcoming, Upcoming]:
    """What is scheduled after a first deploy, and after a second one that changes nothing."""
    return deploy(quiet_stage), deploy(quiet_stage)


def deploy(stage: Stage) -> Upcoming:
    deploy_all(stage.sandbox)
    # Another module may have paused them.
    resume_schedules()
    deployed = datetime.now(UTC)
    deadline = time.monotonic() + SCHEDULER_SECONDS
    while True:
        slots = {name: [slot_of(run) for run in scheduled_runs(name) if is_upcoming(run)] for name in SCHEDULED}
        if all(slots.values()) or time.monotonic() > deadline:
            return Upcoming(deployed, slots)
        time.sleep(0.5)


def is_upcoming(run: FlowRun) -> bool:
    return run.state_name == "Scheduled" and slot_of(run) > datetime.now(UTC)


def slot_of(run: FlowRun) -> datetime:
    assert run.expected_start_time is not None
    return standard(run.expected_start_time)


@pytest.mark.parametrize("name", SCHEDULED)
@pytest.mark.parametrize("deploy_number", [0, 1])
def test_runs_are_scheduled_for_the_slots_of_each_cron(
    upcoming: tuple[Upcoming, Upcoming], name: str, deploy_number: int
) -> None:
    found = upcoming[deploy_number]
    slots = [slot.astimezone(ZONES[name]) for slot in found.slots[name]]
    assert len(slots) >= 3
    assert [slot for slot in slots if not SLOTS[name](slot) or slot.second or slot.microsecond] == []
    # Local times: on the day on which summer time begins or ends, 24 hours are not a day.
    naive = [slot.replace(tzinfo=None) for slot in slots]
    assert {later - earlier for earlier, later in pairwise(naive)} == {PERIODS[name]}
    assert slots[0] - found.deployed <= PERIODS[name] + timedelta(hours=1 if name == "audit/audit" else 0)


@pytest.fixture(scope="module")
def carried_out(quiet_stage: Stage, upcoming: tuple[Upcoming, Upcoming]) -> dict[str, ScheduledRun]:
    """The first scheduled run of each deployment, while nobody asks for one."""
    assert all(upcoming[1].slots.values())
    environment = flow_environment(quiet_stage.sandbox) | {"HOLDTRUE_FLEET": str(quiet_stage.fleet.root)}
    worker = quiet_stage.sandbox.start_worker(env=environment)
    try:
        with every_minute("drift/drift", "audit/audit") as since:
            started = {name: wait_for_start(name, since) for name in SCHEDULED}
        return {name: end_of(run) for name, run in started.items()}
    finally:
        pause_schedules()
        worker.stop()


@pytest.mark.parametrize("name", SCHEDULED)
def test_scheduled_run_starts_by_itself_and_ends_in_a_state_of_ours(
    carried_out: dict[str, ScheduledRun], name: str
) -> None:
    run = carried_out[name]
    assert run.finished.state_name in ENDS[name], run.finished.message
    assert run.finished.report.strip()
    assert (run.scheduled_for.second, run.scheduled_for.microsecond) == (0, 0)
    # A run may begin a tenth of a second before its slot (seen: 0.093 s), for a worker fetches it ahead.
    assert timedelta(seconds=-1) < run.started - run.scheduled_for < SOON


@pytest.mark.parametrize("name", SCHEDULED)
def test_scheduled_run_was_made_by_the_schedule_and_carried_out_by_the_worker(
    carried_out: dict[str, ScheduledRun], name: str
) -> None:
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(carried_out[name].finished.id)
        deployment = client.read_deployment_by_name(name)
        states = client.read_flow_run_states(run.id)
    assert run.auto_scheduled
    assert run.created_by is not None
    assert run.created_by.type == "SCHEDULE"
    assert run.deployment_id == deployment.id
    assert run.work_pool_name == "holdtrue"
    assert run.infrastructure_pid
    assert [state.name for state in states][:2] == ["Scheduled", "Pending"]
    assert run.run_count == 1


@pytest.mark.usefixtures("carried_out")
def test_shipped_schedules_are_set_back() -> None:
    crons = {name: schedule_of(name) for name in SCHEDULED}
    assert crons == {
        "drift/drift": ("0 * * * *", "UTC"),
        "audit/audit": ("30 4 * * *", "Europe/Berlin"),
        "sweep/sweep": ("* * * * *", "UTC"),
    }


def schedule_of(name: str) -> tuple[str, str]:
    with get_client(sync_client=True) as client:
        (known,) = client.read_deployment_by_name(name).schedules
    return known.schedule.cron, known.schedule.timezone  # type: ignore[union-attr,return-value]


@pytest.mark.usefixtures("carried_out")
def test_run_that_somebody_asked_for_does_not_count() -> None:
    asked_for = datetime.now(UTC)
    with asked_run("sweep/sweep") as run_id:
        assert run_id not in {run.id for run in scheduled_runs("sweep/sweep")}
        with pytest.raises(SandboxError, match=r"sweep/sweep.*none"):
            wait_for_start("sweep/sweep", asked_for, timeout_seconds=0)


@contextmanager
def asked_run(name: str) -> Iterator[UUID]:
    """A run that somebody asked for, and that no worker takes."""
    with get_client(sync_client=True) as client:
        run_id = client.create_flow_run_from_deployment(client.read_deployment_by_name(name).id).id
        yield run_id
        client.delete_flow_run(run_id)


@pytest.mark.usefixtures("upcoming")
def test_deployment_without_a_schedule_is_refused() -> None:
    with pytest.raises(SandboxError, match="provision/provision has 0 schedules"), every_minute("provision/provision"):
        pytest.fail("nothing was given a cron")
