"""Who may lose a lock, and what a person is told of who holds it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from holdtrue.core.locks import holder_status, locked_error, lost_error, require_releasable
from holdtrue.errors import RejectedError, is_transient
from holdtrue.models.lease import Holder, Liveness, ProcessIdentity
from holdtrue.models.lock import EnvironmentLock, HolderStatus, Observation

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SILENCE = 45.0

ALIVE, DEAD, UNKNOWN = Liveness


def holder(*, closed: bool = False, run_name: str = "fat-cow", run: str = "0b5e") -> Holder:
    return Holder(
        id=UUID(int=7),
        run=run,
        run_name=run_name,
        flow="provision" if run else "",
        process=ProcessIdentity(machine="m", pid=4711, started_ticks=1, host="worker-1"),
        opened_at=NOW - timedelta(days=1),
        beat_at=NOW,
        closed_at=NOW if closed else None,
    )


def lock(of: Holder | None, fence: int = 3) -> EnvironmentLock:
    return EnvironmentLock(environment="demo", fence=fence, holder=of, acquired_at=NOW, silent_seconds=12)


@pytest.mark.parametrize("silent_seconds", [0.0, 44.0, 46.0, 86_400.0])
@pytest.mark.parametrize("tools", Liveness)
@pytest.mark.parametrize("process", Liveness)
@pytest.mark.parametrize("closed", [False, True])
def test_only_a_proven_end_lets_a_lock_be_taken_over(
    *, closed: bool, process: Liveness, tools: Liveness, silent_seconds: float
) -> None:
    found = holder_status(holder(closed=closed), silent_seconds, Observation(process=process, tools=tools), SILENCE)

    assert (found is HolderStatus.OVER) == (closed or (process, tools) == (DEAD, DEAD))


@pytest.mark.parametrize(
    ("process", "tools", "silent_seconds", "expected"),
    [
        (ALIVE, DEAD, 0, HolderStatus.LIVE),
        (ALIVE, DEAD, 86_400, HolderStatus.LIVE),  # Stopped, or its ledger is away.
        (DEAD, ALIVE, 86_400, HolderStatus.ORPHANED),
        (DEAD, UNKNOWN, 0, HolderStatus.SILENT),  # Another user's tools cannot be seen.
        (UNKNOWN, UNKNOWN, 44, HolderStatus.LIVE),
        (UNKNOWN, UNKNOWN, 46, HolderStatus.SILENT),
        (UNKNOWN, UNKNOWN, 86_400, HolderStatus.SILENT),
    ],
)
def test_what_is_made_of_a_holder_that_is_not_over(
    process: Liveness, tools: Liveness, silent_seconds: float, expected: HolderStatus
) -> None:
    assert holder_status(holder(), silent_seconds, Observation(process=process, tools=tools), SILENCE) is expected


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (HolderStatus.LIVE, "cancel"),
        (HolderStatus.ORPHANED, "4712, 4713"),
        (HolderStatus.SILENT, "holdtrue unlock demo --fence 3"),
    ],
)
def test_who_is_locked_out_learns_who_holds_it_and_what_to_do(status: HolderStatus, advice: str) -> None:
    seen = Observation(process=UNKNOWN, tools=UNKNOWN, tool_pids=(4712, 4713))

    error = locked_error(lock(holder()), status, seen, waited_seconds=300.2)

    assert is_transient(error)
    assert error.state_name == "EnvironmentLocked"
    for named in ("demo", "fat-cow", "0b5e", "worker-1", "4711", "2026-01-02 03:04:05", "12 s", "300 s", status):
        assert named in str(error)
    assert advice in error.next_step


def test_the_command_that_releases_is_given_only_where_nobody_can_tell() -> None:
    seen = Observation(process=ALIVE, tools=DEAD)

    assert "unlock" not in str(locked_error(lock(holder()), HolderStatus.LIVE, seen, waited_seconds=0))


def test_a_holder_outside_a_flow_is_told_as_one() -> None:
    seen = Observation(process=ALIVE, tools=DEAD)

    assert "outside a flow" in str(
        locked_error(lock(holder(run="", run_name="")), HolderStatus.LIVE, seen, waited_seconds=0)
    )


@pytest.mark.parametrize("found", [None, lock(None), lock(holder(), fence=4)])
def test_a_lost_lock_is_not_retried_and_tells_who_has_it(found: EnvironmentLock | None) -> None:
    error = lost_error("demo", 3, found)

    assert not is_transient(error)
    assert error.state_name == "LockLost"
    assert "fence 3" in error.where
    assert error.next_step
    assert ("does not list it" in str(error)) == (found is None)
    assert (found is not None and found.holder is not None) == ("fat-cow" in str(error) and "fence 4" in str(error))


@pytest.mark.parametrize("status", [HolderStatus.SILENT, HolderStatus.OVER, None])
def test_a_person_may_release_what_nobody_proves_to_be_alive(status: HolderStatus | None) -> None:
    require_releasable(lock(holder() if status else None), status, 3)


@pytest.mark.parametrize(
    ("status", "fence"),
    [(HolderStatus.LIVE, 3), (HolderStatus.ORPHANED, 3), (HolderStatus.SILENT, 2), (HolderStatus.OVER, 4), (None, 2)],
)
def test_a_person_may_not_release_another_lock_or_that_of_the_living(status: HolderStatus | None, fence: int) -> None:
    with pytest.raises(RejectedError) as caught:
        require_releasable(lock(holder() if status else None), status, fence)
    assert caught.value.next_step
