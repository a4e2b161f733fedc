"""What the ledger is told of a run, also after a time in which it did not answer."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from holdtrue.adapters.ledger import open_ledger
from holdtrue.adapters.ledger.ledger import SqlLedger
from holdtrue.credentials import entry
from holdtrue.credentials.entry import LedgerEntry
from holdtrue.credentials.holding import requested
from holdtrue.credentials.notes import LeaseNotes
from holdtrue.errors import AccessDenied, HoldtrueError, ResourceMissing, ServiceUnreachable
from holdtrue.models.lease import Holder, Lease, LeaseKind, LeaseState
from holdtrue.runtime.liveness import current_process

UNTIL = datetime(2031, 2, 3, tzinfo=UTC)


class Outage:
    """Makes the methods of a ledger raise, or hang, while it lasts."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.error: HoldtrueError | None = None
        self.asked: list[str] = []
        self.answers = threading.Event()
        self.answers.set()
        for name in ("beat", "hold", "settle", "close_holder"):
            patch.setattr(SqlLedger, name, self._around(name, getattr(SqlLedger, name)))

    def _around(self, name: str, method: Callable[..., object]) -> Callable[..., object]:
        def called(*args: object) -> object:
            self.asked.append(name)
            assert self.answers.wait(10)
            if self.error is not None:
                raise self.error
            return method(*args)

        return called


class Run:
    """A run in an SQLite ledger."""

    def __init__(self, folder: Path) -> None:
        self.ledger = open_ledger(f"sqlite:///{folder}/ledger.db")
        now = datetime.now(UTC)
        self.holder = Holder(
            id=uuid4(),
            run="",
            run_name="",
            flow="",
            process=current_process(),
            opened_at=now,
            beat_at=now,
            closed_at=None,
        )
        self.entry = LedgerEntry(self.holder, lambda: self.ledger)
        self.entry.open()

    def held(self, kind: LeaseKind = LeaseKind.TOKEN) -> Lease:
        """A lease that the ledger lists as held for a short time."""
        lease = requested(self.holder.id, kind, server="https://vault", namespace="", path="auth/approle/login")
        self.ledger.request(lease)
        until = datetime.now(UTC) + timedelta(seconds=4)
        self.ledger.hold(lease.id, "an-accessor", until)
        return lease.model_copy(update={"reference": "an-accessor", "expires_at": until, "state": LeaseState.HELD})

    def ends(self) -> dict[UUID, datetime | None]:
        """Of the leases that the ledger lists as unsettled."""
        return {lease.id: lease.expires_at for found in self.ledger.unsettled() for lease in found.leases}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(entry, "BEAT_SECONDS", 0.05)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    started = Run(tmp_path)
    yield started
    started.entry.close()


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch, run: Run) -> Iterator[Outage]:
    assert run.ends() == {}
    made = Outage(monkeypatch)
    yield made
    made.error = None
    made.answers.set()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def later(lease: Lease) -> Lease:
    return lease.model_copy(update={"expires_at": UNTIL})


def settled(lease: Lease, state: LeaseState = LeaseState.REVOKED) -> Lease:
    return lease.model_copy(update={"state": state})


@pytest.mark.parametrize("error", [ServiceUnreachable("does not answer"), AccessDenied("read-only"), None])
def test_what_was_noted_while_it_was_away_is_written_when_it_is_back(
    run: Run, outage: Outage, error: HoldtrueError | None, caplog: pytest.LogCaptureFixture
) -> None:
    def warnings() -> list[logging.LogRecord]:
        return [record for record in caplog.records if record.levelno == logging.WARNING]

    renewed, over = run.held(), run.held(LeaseKind.SECRET)
    outage.error = error
    if error is None:
        outage.answers.clear()
    began = time.monotonic()
    for _ in range(50):
        run.entry.note(later(renewed))
    run.entry.note(settled(over))
    assert time.monotonic() - began < 1, "who notes something does not wait"
    wait_until(lambda: bool(outage.asked) if error is None else bool(warnings()))
    assert run.ends()[renewed.id] != UNTIL
    outage.error = None
    outage.answers.set()
    wait_until(lambda: run.ends() == {renewed.id: UNTIL})
    assert len(warnings()) == (error is not None)


def test_a_run_beats_although_the_ledger_takes_no_note(run: Run, outage: Outage) -> None:
    def refuse(*_: object) -> None:
        raise ResourceMissing("not listed")

    lease = run.held()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqlLedger, "hold", refuse)
        run.entry.note(later(lease))
        wait_until(lambda: outage.asked.count("beat") > 3)


def test_the_end_waits_for_the_ledger_and_is_complete(run: Run, outage: Outage) -> None:
    lease = run.held()
    outage.error = ServiceUnreachable("does not answer")
    run.entry.note(settled(lease))
    back = threading.Timer(0.3, lambda: setattr(outage, "error", None))
    back.start()
    run.entry.close()
    assert run.ends() == {}
    assert outage.asked[-1] == "close_holder"


@pytest.mark.parametrize("hangs", [True, False])
def test_the_end_waits_no_longer_than_it_may_and_says_what_is_not_recorded(
    run: Run, outage: Outage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, *, hangs: bool
) -> None:
    monkeypatch.setattr(entry, "END_SECONDS", 0.3)
    leases = [run.held() for _ in range(3)]
    if hangs:
        outage.answers.clear()
    else:
        outage.error = ServiceUnreachable("does not answer")
    for lease in leases:
        run.entry.note(settled(lease))
    began = time.monotonic()
    run.entry.close()
    assert time.monotonic() - began < 2
    assert "an-accessor" in caplog.text
    assert "2 more" in caplog.text
    assert set(run.ends()) == {lease.id for lease in leases}
    outage.error = None
    outage.answers.set()
    # The process lives on, and tells the ledger after all.
    wait_until(lambda: not run.ends())
    wait_until(lambda: "close_holder" in outage.asked)


def test_a_signal_during_the_end_is_raised_when_all_is_written(run: Run, outage: Outage) -> None:
    lease = run.held()
    outage.answers.clear()
    run.entry.note(settled(lease))

    def interrupt_and_answer() -> None:
        time.sleep(0.1)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.3)
        outage.answers.set()

    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=interrupt_and_answer).start()
        with pytest.raises(KeyboardInterrupt):
            run.entry.close()
    finally:
        signal.signal(signal.SIGINT, former)
    assert run.ends() == {}


def test_what_ends_after_the_run_is_written_as_well(run: Run) -> None:
    late = run.held()
    run.entry.close()
    run.entry.note(settled(late))
    run.entry.close()
    assert run.ends() == {}


# The notes by themselves


def test_the_last_note_on_a_lease_counts_and_an_end_is_final(run: Run) -> None:
    renewed, over = run.held(), run.held()
    notes = LeaseNotes()
    for line in (renewed, later(renewed), settled(over), later(over)):
        notes.add(line)
    assert [line.id for line in notes.waiting] == [renewed.id, over.id]
    notes.write(run.ledger)
    assert notes.waiting == ()
    assert run.ends() == {renewed.id: UNTIL}


def test_a_note_that_comes_too_late_is_dropped(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    swept = run.held()
    run.ledger.settle(swept.id, LeaseState.REVOKED)
    notes = LeaseNotes()
    notes.add(later(swept))
    notes.write(run.ledger)
    assert notes.waiting == ()
    assert "an-accessor" in caplog.text


def test_one_that_is_not_listed_keeps_no_other_from_being_written(run: Run) -> None:
    strange = requested(run.holder.id, LeaseKind.TOKEN, server="", namespace="", path="p")
    known = run.held()
    notes = LeaseNotes()
    notes.add(settled(strange))
    notes.add(later(known))
    with pytest.raises(ResourceMissing):
        notes.write(run.ledger)
    assert notes.waiting == (settled(strange),)
    assert run.ends() == {known.id: UNTIL}
