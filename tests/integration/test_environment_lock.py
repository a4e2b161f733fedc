"""Locks between real processes: who waits, who takes over, and when a lock is released."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from sqlalchemy import update

from holdtrue.adapters.ledger import database, open_ledger
from holdtrue.adapters.ledger.tables import HOLDERS
from holdtrue.cli import ExitCode, main
from holdtrue.core.locks import writer_meanwhile
from holdtrue.credentials import environment_lock as locking
from holdtrue.credentials.entry import SILENCE_SECONDS
from holdtrue.credentials.environment_lock import lock_environment, lock_of
from holdtrue.credentials.holding import requested
from holdtrue.credentials.scope import RunLabel, credential_scope
from holdtrue.credentials.sweep import sweep
from holdtrue.errors import EnvironmentLocked, LockLost, ServiceUnreachable, TransientError
from holdtrue.models.base import Progress
from holdtrue.models.lease import LeaseKind
from holdtrue.models.ledger import Ledger
from holdtrue.models.lock import HolderStatus
from sandbox import Sandbox
from tests.integration.lock_processes import child, line_of

SECONDS = 30.0

HOLDER = """
    import sys
    import time
    from pathlib import Path
    from holdtrue.credentials.environment_lock import lock_environment
    from holdtrue.credentials.scope import RunLabel, credential_scope
    from holdtrue.runtime.process import run_tool

    with credential_scope(RunLabel("its-id", "the-holder", "provision")):
        lock = lock_environment(sys.argv[1], wait_seconds=0)
        print(lock.fence, flush=True)
        if sys.argv[2] == "with a tool":
            run_tool(
                ["/bin/sh", "-c", "trap '' INT; echo $$; while :; do sleep 0.05; done"],
                environment={"PATH": "/usr/bin:/bin"}, folder=Path("/"), timeout_seconds=60,
                on_line=lambda line: print(line, flush=True), grace_seconds=60,
            )
        time.sleep(60)
"""
"""Holds the lock until it is ended; perhaps with a tool at work that does not mind an interrupt."""


def wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.usefixtures("ledger")
def test_two_environments_are_locked_side_by_side() -> None:
    with child(HOLDER, "one", "alone") as holder, credential_scope():
        assert line_of(holder) == "1"
        assert lock_environment("other", wait_seconds=0).fence == 1
        held = [lock.holder for lock in open_ledger(os.environ["HOLDTRUE_LEDGER_URL"]).locks.all()]
        assert len({run.id for run in held if run is not None}) == 2


# Waiting


def test_who_waits_is_told_of_whom_and_goes_on_when_the_lock_is_free(
    sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "_TELL_SECONDS", 0.5)
    told: list[tuple[float, Progress]] = []
    with child(HOLDER, "demo", "alone") as holder, credential_scope():
        assert line_of(holder) == "1"
        began = time.monotonic()

        def listen(progress: Progress) -> None:
            told.append((time.monotonic() - began, progress))
            if len(told) == 3:
                sqlite_ledger.locks.release("demo", 1)

        assert lock_environment("demo", wait_seconds=60, on_progress=listen).fence == 2
    assert all("the-holder" in line.message and str(holder.pid) in line.message for _, line in told)
    times = [at for at, _ in told]
    assert times[0] < 0.5, "the first line comes at once"
    assert all(later - earlier > 0.4 for earlier, later in pairwise(times))


@pytest.mark.usefixtures("sqlite_ledger")
@pytest.mark.parametrize("wait_seconds", [0.0, 0.7])
def test_the_wait_has_an_end_that_names_the_holder(wait_seconds: float) -> None:
    with child(HOLDER, "demo", "alone") as holder, credential_scope():
        assert line_of(holder) == "1"
        began = time.monotonic()
        with pytest.raises(EnvironmentLocked, match=f"the-holder .its-id, flow provision.*pid {holder.pid}"):
            lock_environment("demo", wait_seconds=wait_seconds)
        assert wait_seconds <= time.monotonic() - began < wait_seconds + 5
        assert lock_of("demo") is not None


# Whose lock is lost


def test_a_killed_holder_loses_its_lock_at_once(ledger: Ledger) -> None:
    told: list[Progress] = []
    with child(HOLDER, "demo", "alone") as holder, credential_scope() as scope:
        assert line_of(holder) == "1"
        holder.kill()
        holder.wait()
        began = time.monotonic()
        assert lock_environment("demo", wait_seconds=SECONDS, on_progress=told.append).fence == 2
        assert time.monotonic() - began < 5
        found = ledger.locks.find("demo")
        assert found is not None
        assert found.holder is not None
        assert found.holder.id == scope.holder
    (line,) = told
    assert "the-holder" in line.message


def test_a_stopped_holder_keeps_its_lock(sqlite_ledger: Ledger) -> None:
    with child(HOLDER, "demo", "alone") as holder, credential_scope():
        assert line_of(holder) == "1"
        holder.send_signal(signal.SIGSTOP)
        fall_silent(sqlite_ledger, elsewhere=False)
        with pytest.raises(EnvironmentLocked) as caught:
            lock_environment("demo", wait_seconds=0.5)
        assert "unlock" not in caught.value.next_step


def test_a_holder_elsewhere_that_fell_silent_keeps_its_lock_until_a_person_releases_it(ledger: Ledger) -> None:
    with credential_scope(RunLabel("its-id", "the-holder", "provision")):
        held = lock_environment("demo", wait_seconds=0)
        fall_silent(ledger, elsewhere=True)
        with run_beside(), pytest.raises(EnvironmentLocked) as caught:
            lock_environment("demo", wait_seconds=0.5)
        for named in ("the-holder", "its-id", "worker-9", str(os.getpid())):
            assert named in str(caught.value)
        command = caught.value.next_step.split("`")[1].split()
        assert command[0] == "holdtrue"
        assert main(command[1:]) == ExitCode.GOOD
        with pytest.raises(LockLost, match="somebody released it"):
            held.require_held()
        with run_beside("the-next"):
            taken = lock_environment("demo", wait_seconds=0)
            with pytest.raises(LockLost, match=f"the-next .*fence {taken.fence}"):
                held.require_held()
            held.release()
            taken.require_held()


@contextmanager
def run_beside(name: str = "") -> Iterator[None]:
    """Another run in this process, beside the one that the caller is in."""
    from holdtrue.credentials import scope as scopes  # noqa: PLC0415 - what it does is private to that module

    token = scopes._current.set(None)
    try:
        with credential_scope(RunLabel("another-id", name, "provision")):
            yield
    finally:
        scopes._current.reset(token)


def fall_silent(ledger: Ledger, *, elsewhere: bool) -> None:
    """Let every holder have last been heard of long ago, perhaps on another machine."""
    long_ago = datetime.fromtimestamp(time.time() - SILENCE_SECONDS - 60, UTC)
    place = {"machine": "another-boot/pid:[1]", "host": "worker-9"} if elsewhere else {}
    engine = database.connect(os.environ["HOLDTRUE_LEDGER_URL"])
    with engine.begin() as connection:
        connection.execute(update(HOLDERS).values(beat_at=long_ago, **place))
    assert ledger.locks.all()[0].silent_seconds > SILENCE_SECONDS


def test_the_tools_of_a_killed_holder_keep_its_lock(ledger: Ledger) -> None:
    with child(HOLDER, "demo", "with a tool") as holder, credential_scope() as scope:
        assert line_of(holder) == "1"
        tool = int(line_of(holder))
        holder.kill()
        holder.wait()
        with pytest.raises(EnvironmentLocked, match=HolderStatus.ORPHANED) as caught:
            lock_environment("demo", wait_seconds=1)
        assert str(tool) in caught.value.next_step
        assert main(["unlock", "demo", "--fence", "1"]) == ExitCode.BAD_INPUT
        os.kill(tool, signal.SIGKILL)
        assert lock_environment("demo", wait_seconds=SECONDS).fence == 2
        found = ledger.locks.find("demo")
        assert found is not None
        assert found.holder is not None
        assert found.holder.id == scope.holder


def test_a_sweep_does_not_release_the_lock_of_a_run_whose_tools_still_run(sqlite_ledger: Ledger) -> None:
    with child(HOLDER, "demo", "with a tool") as holder:
        line_of(holder)
        tool = int(line_of(holder))
        lock = sqlite_ledger.locks.find("demo")
        assert lock is not None
        assert lock.holder is not None
        lease = requested(
            lock.holder.id, LeaseKind.TOKEN, server="https://vault", namespace="", path="auth/approle/login"
        )
        sqlite_ledger.request(lease)
        holder.kill()
        holder.wait()

    def is_held() -> bool:
        assert sweep(sqlite_ledger, []).dead_runs == 1
        found = sqlite_ledger.locks.find("demo")
        return found is not None and found.holder is not None

    assert is_held()
    os.kill(tool, signal.SIGKILL)
    wait_for(lambda: not is_held())


# The end of a run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_termination_releases_the_lock(ledger: Ledger, number: signal.Signals) -> None:
    with child(HOLDER, "demo", "alone") as holder:
        assert line_of(holder) == "1"
        holder.send_signal(number)
        assert holder.wait(SECONDS) == -signal.SIGTERM
    lock = ledger.locks.find("demo")
    assert lock is not None
    assert (lock.fence, lock.holder) == (1, None)


def test_sigterm_in_the_middle_of_a_tool_leaves_the_lock_until_the_tool_has_ended(sqlite_ledger: Ledger) -> None:
    with child(HOLDER, "demo", "with a tool") as holder, credential_scope():
        line_of(holder)
        tool = int(line_of(holder))
        holder.terminate()
        assert holder.wait(SECONDS) == -signal.SIGTERM
        lock = sqlite_ledger.locks.find("demo")
        assert lock is not None
        assert lock.holder is not None
        assert lock.holder.closed_at is None
        with pytest.raises(EnvironmentLocked, match=HolderStatus.ORPHANED):
            lock_environment("demo", wait_seconds=0)
        os.kill(tool, signal.SIGKILL)
        assert lock_environment("demo", wait_seconds=SECONDS).fence == 2


def test_the_end_of_a_run_frees_what_it_never_released(ledger: Ledger) -> None:
    with credential_scope():
        lock_environment("demo", wait_seconds=0)
    lock = ledger.locks.find("demo")
    assert lock is not None
    assert lock.holder is None


# The ledger is away


def test_without_a_ledger_there_is_no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", "postgresql+psycopg://user:pass-word@127.0.0.1:9/ledger")
    with credential_scope(), pytest.raises(ServiceUnreachable, match="does not answer") as caught:
        lock_environment("demo", wait_seconds=60)
    assert "127.0.0.1:9" in caught.value.where
    assert caught.value.next_step


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_a_ledger_that_goes_away_stops_writing_and_the_lock_is_released_when_it_is_back(
    sandbox: Sandbox, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    with credential_scope():
        lock = lock_environment("demo", wait_seconds=0)
        sandbox.postgres.stop()
        with pytest.raises(TransientError, match="does not answer"):
            lock.require_held()
        lock.release()
        assert "demo" in caplog.text
        sandbox.postgres.start()
        lock.require_held()
    found = ledger.locks.find("demo")
    assert found is not None
    assert found.holder is None


def test_whoever_only_looks_sees_whether_somebody_wrote_in_between(sqlite_ledger: Ledger) -> None:
    def writes(fences: Sequence[int]) -> None:
        for fence in fences:
            with run_beside():
                assert lock_environment("demo", wait_seconds=0).fence == fence

    with credential_scope():
        assert lock_of("demo") is None
        writes([1])
        before, again = lock_of("demo"), lock_of("demo")
        assert before == again
        assert before is not None
        assert (before.lock.fence, before.status) == (1, None)
        assert writer_meanwhile(before, again) == ""
        writes([2, 3])
        after = lock_of("demo")
        assert after is not None
        assert (after.lock.fence, after.status) == (3, None)
        assert writer_meanwhile(before, after)
    assert len(sqlite_ledger.locks.all()) == 1
