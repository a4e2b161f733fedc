"""Two processes that race for one environment: never two writers, in either database."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from holdtrue.models.lease import Holder
from holdtrue.models.ledger import Ledger
from holdtrue.runtime.liveness import current_process
from tests.integration.lock_processes import child, line_of, tell

ROUNDS = 50

RACER = """
    import os
    import sys
    import time
    from holdtrue.credentials.environment_lock import lock_environment
    from holdtrue.credentials.scope import RunLabel, credential_scope

    witness, is_guarded = sys.argv[1], sys.argv[2] == "locked"

    def write():
        try:
            os.close(os.open(witness, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return "two writers"
        time.sleep(0.01)
        os.unlink(witness)
        return "alone"

    with credential_scope(RunLabel("an-id", "a-racer", "race")) as scope:
        scope.ledger()
        print("ready", flush=True)
        for _ in sys.stdin:
            lock = lock_environment("demo", wait_seconds=60) if is_guarded else None
            seen = write()
            if lock:
                lock.release()
            print(lock.fence if lock else 0, seen, sep=",", flush=True)
"""
"""Writes once for each line it reads. The witness is a file that only one can make."""


def left_by_a_dead_run(ledger: Ledger) -> int:
    """The fence of a lock whose holder's process is gone."""
    own, now = current_process(), datetime.now(UTC)
    gone = own.model_copy(update={"started_ticks": own.started_ticks + 1})
    holder = Holder(
        id=uuid4(),
        run="",
        run_name="a-dead-run",
        flow="",
        process=gone,
        opened_at=now,
        beat_at=now,
        closed_at=None,
    )
    ledger.open_holder(holder)
    lock = ledger.locks.acquire("demo", holder.id)
    assert lock is not None
    return lock.fence


def race(folder: Path, mode: str, before_each: Callable[[int], None]) -> list[tuple[int, str]]:
    """What two processes report that want to write at the same moment, each as often as there are rounds."""
    reports: list[tuple[int, str]] = []
    with ExitStack() as stack:
        racers = [stack.enter_context(child(RACER, str(folder / "witness"), mode)) for _ in range(2)]
        assert [line_of(racer) for racer in racers] == ["ready", "ready"]
        for number in range(ROUNDS):
            before_each(number)
            for racer in racers:
                tell(racer)
            for racer in racers:
                fence, seen = line_of(racer).split(",")
                reports.append((int(fence), seen))
    return reports


def test_two_processes_that_want_one_environment_never_write_at_once(ledger: Ledger, tmp_path: Path) -> None:
    """In every other round both find the lock of a dead run, and race to take it over."""
    of_the_dead: list[int] = []

    def leave(number: int) -> None:
        if number % 2:
            of_the_dead.append(left_by_a_dead_run(ledger))

    reports = race(tmp_path, "locked", leave)

    assert [seen for _, seen in reports] == ["alone"] * 2 * ROUNDS
    fences = sorted([*of_the_dead, *(fence for fence, _ in reports)])
    assert fences == list(range(1, 2 * ROUNDS + ROUNDS // 2 + 1)), "each acquisition has a fence of its own, in order"


@pytest.mark.usefixtures("sqlite_ledger")
def test_the_witness_of_that_race_sees_two_writers_where_nobody_locks(tmp_path: Path) -> None:
    reports = race(tmp_path, "unlocked", lambda _: None)

    assert "two writers" in {seen for _, seen in reports}
