"""What a sweep makes of what nobody can revoke, and of a ledger that is away; no Vault is asked here."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, select

from holdtrue.adapters.ledger import database
from holdtrue.adapters.ledger.ledger import SqlLedger
from holdtrue.adapters.ledger.tables import HOLDERS, LEASES
from holdtrue.credentials.entry import SILENCE_SECONDS
from holdtrue.credentials.holding import requested
from holdtrue.credentials.sweep import LOST_HOURS, sweep
from holdtrue.errors import ServiceUnreachable
from holdtrue.models.lease import Holder, Holding, LeaseKind, LeaseState
from holdtrue.models.sweep import SweepOutcome
from holdtrue.runtime.liveness import current_process

HOUR = timedelta(hours=1)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = database.connect(f"sqlite:///{tmp_path}/ledger.db")
    yield made
    made.dispose()


def run(engine: Engine, name: str, *, closed: bool = True) -> UUID:
    """A run of this process, which lives unless it closed."""
    now = datetime.now(UTC)
    holder = Holder(
        id=uuid4(),
        run=f"id-of-{name}",
        run_name=name,
        flow="provision",
        process=current_process(),
        opened_at=now,
        beat_at=now,
        closed_at=None,
    )
    SqlLedger(engine).open_holder(holder)
    if closed:
        with engine.begin() as connection:
            connection.execute(HOLDERS.update().where(HOLDERS.c.id == holder.id).values(closed_at=now))
    return holder.id


def hold(
    engine: Engine,
    holder: UUID,
    kind: LeaseKind,
    *,
    left: timedelta = HOUR,
    answered: bool = True,
    asked_ago: timedelta = HOUR,
) -> UUID:
    """A lease of it, written past the ledger's checks, as a run that has ended since has left it."""
    now = datetime.now(UTC)
    lease = requested(holder, kind, server="https://vault", namespace="", path="ssh/sign/deploy")
    lease = lease.model_copy(update={"requested_at": now - asked_ago})
    if answered:
        lease = lease.model_copy(
            update={"reference": str(lease.id), "expires_at": now + left, "state": LeaseState.HELD}
        )
    with engine.begin() as connection:
        connection.execute(LEASES.insert().values(lease.model_dump()))
    return lease.id


def seem_silent(engine: Engine) -> None:
    """Every run is one of another machine that has not beaten for long."""
    beat_at = datetime.now(UTC) - timedelta(seconds=SILENCE_SECONDS + 5)
    with engine.begin() as connection:
        connection.execute(HOLDERS.update().values(machine="another-boot/pid:[1]", beat_at=beat_at))


def states(engine: Engine) -> dict[UUID, LeaseState]:
    with engine.connect() as connection:
        return {row.id: LeaseState(row.state) for row in connection.execute(select(LEASES.c.id, LEASES.c.state))}


def outcomes(engine: Engine) -> list[SweepOutcome]:
    return [lease.outcome for lease in sweep(SqlLedger(engine), []).leases]


@pytest.mark.parametrize("kind", [LeaseKind.SSH_CERTIFICATE, LeaseKind.AWS_SESSION])
def test_what_nobody_can_revoke_is_told_once_and_left_to_its_end(engine: Engine, kind: LeaseKind) -> None:
    lease = hold(engine, run(engine, "killed"), kind)
    report = sweep(SqlLedger(engine), [])
    assert [(told.outcome, told.reference) for told in report.leases] == [(SweepOutcome.IRREVOCABLE, str(lease))]
    assert report.leases[0].expires_at is not None
    assert (report.dead_runs, report.live_runs) == (0, 0)
    assert states(engine) == {lease: LeaseState.LEFT}
    assert sweep(SqlLedger(engine), []).leases == ()


def test_what_an_older_version_left_is_settled_by_the_first_sweep(engine: Engine) -> None:
    """It left such leases held when a run ended."""
    left = [hold(engine, run(engine, f"old-{number}"), LeaseKind.SSH_CERTIFICATE) for number in range(12)]
    over = hold(engine, run(engine, "older"), LeaseKind.AWS_SESSION, left=-HOUR)
    mine = hold(engine, run(engine, "live", closed=False), LeaseKind.SSH_CERTIFICATE)
    report = sweep(SqlLedger(engine), [])
    assert len(report.of(SweepOutcome.IRREVOCABLE)) == 12
    assert len(report.of(SweepOutcome.GONE)) == 1
    assert (report.dead_runs, report.live_runs) == (0, 1)
    assert states(engine) == dict.fromkeys(left, LeaseState.LEFT) | {
        over: LeaseState.EXPIRED,
        mine: LeaseState.HELD,
    }
    assert sweep(SqlLedger(engine), []).leases == ()


def test_what_could_not_be_revoked_is_told_each_time(engine: Engine) -> None:
    holder = run(engine, "killed")
    token, certificate = hold(engine, holder, LeaseKind.TOKEN), hold(engine, holder, LeaseKind.SSH_CERTIFICATE)
    lost = hold(engine, holder, LeaseKind.TOKEN, answered=False)
    first, second = sweep(SqlLedger(engine), []), sweep(SqlLedger(engine), [])
    assert sorted(lease.outcome for lease in first.leases) == ["failed", "irrevocable", "lost"]
    assert sorted(lease.outcome for lease in second.leases) == ["failed", "lost"]
    assert (first.dead_runs, second.dead_runs) == (1, 1)
    assert states(engine) == {
        token: LeaseState.HELD,
        certificate: LeaseState.LEFT,
        lost: LeaseState.REQUESTED,
    }


@pytest.mark.parametrize("kind", [LeaseKind.TOKEN, LeaseKind.SECRET, LeaseKind.CERTIFICATE])
def test_an_end_that_no_server_has_confirmed_is_told_as_that(engine: Engine, kind: LeaseKind) -> None:
    hold(engine, run(engine, "killed"), kind, left=-HOUR)
    hold(engine, run(engine, "killed later"), kind)
    told = {lease.run_name: lease for lease in sweep(SqlLedger(engine), []).leases}
    assert {lease.outcome for lease in told.values()} == {SweepOutcome.FAILED}
    assert "expired" in told["killed"].detail
    assert "not confirmed" in told["killed"].detail
    assert "expired" not in told["killed later"].detail


def test_what_nobody_can_revoke_and_nobody_got_is_told_once(engine: Engine) -> None:
    lease = hold(engine, run(engine, "killed"), LeaseKind.SSH_CERTIFICATE, answered=False)
    assert outcomes(engine) == [SweepOutcome.IRREVOCABLE]
    assert states(engine) == {lease: LeaseState.LEFT}
    assert outcomes(engine) == []


def test_a_run_that_only_seems_dead_may_still_have_its_answer(engine: Engine) -> None:
    holder = run(engine, "frozen", closed=False)
    lease = hold(engine, holder, LeaseKind.SSH_CERTIFICATE, answered=False)
    seem_silent(engine)
    assert outcomes(engine) == []
    SqlLedger(engine).hold(lease, "its-serial", datetime.now(UTC) + HOUR)
    seem_silent(engine)
    assert outcomes(engine) == [SweepOutcome.IRREVOCABLE]
    assert outcomes(engine) == []


def test_a_run_that_never_comes_back_is_told_of_when_nothing_of_it_can_live(engine: Engine) -> None:
    holder = run(engine, "gone", closed=False)
    long_ago = timedelta(hours=LOST_HOURS + 1)
    lease = hold(engine, holder, LeaseKind.SSH_CERTIFICATE, answered=False, asked_ago=long_ago)
    seem_silent(engine)
    assert outcomes(engine) == [SweepOutcome.GONE]
    assert states(engine) == {lease: LeaseState.LOST}
    assert outcomes(engine) == []


class ReadTogether(SqlLedger):
    """A ledger whose readers go on when all have read."""

    def __init__(self, engine: Engine, readers: threading.Barrier) -> None:
        super().__init__(engine)
        self._readers = readers

    def unsettled(self) -> tuple[Holding, ...]:
        found = super().unsettled()
        self._readers.wait()
        return found


def test_two_sweeps_at_once_tell_of_each_once(engine: Engine) -> None:
    left = {str(hold(engine, run(engine, f"run-{number}"), LeaseKind.AWS_SESSION)) for number in range(12)}
    readers = threading.Barrier(2, timeout=30)
    with ThreadPoolExecutor(2) as pool:
        sweeps = [pool.submit(lambda: sweep(ReadTogether(engine, readers), [])) for _ in range(2)]
        told = [lease.reference for one in sweeps for lease in one.result().leases]
    assert len(told) == 12
    assert set(told) == left


class GoesAway(SqlLedger):
    """A ledger that can be read, and then settles so many before it is away."""

    def __init__(self, engine: Engine, settles: int) -> None:
        super().__init__(engine)
        self._settles = settles
        self.asked = 0

    def settle(self, lease_id: UUID, state: LeaseState) -> bool:
        self._require_it()
        return super().settle(lease_id, state)

    def close_holder(self, holder_id: UUID, now: datetime) -> None:
        self._require_it()
        super().close_holder(holder_id, now)

    def prune(self, before: datetime) -> int:
        self._require_it()
        return super().prune(before)

    def _require_it(self) -> None:
        self.asked += 1
        if self.asked > self._settles:
            raise ServiceUnreachable("the ledger does not answer", where="sqlite")


def test_a_ledger_that_goes_away_meanwhile_keeps_nothing_out_of_the_report(engine: Engine) -> None:
    left = {str(hold(engine, run(engine, f"run-{number}"), LeaseKind.SSH_CERTIFICATE)) for number in range(4)}
    ledger = GoesAway(engine, settles=1)
    report = sweep(ledger, [])
    assert {lease.reference for lease in report.leases} == left
    assert "does not answer" in report.ledger_failure
    assert ledger.asked == 2, "it is not asked again"
    after = sweep(SqlLedger(engine), [])
    assert len(after.leases) == 3, "only what the ledger could not be told is told again"
    assert after.ledger_failure == ""
    assert set(states(engine).values()) == {LeaseState.LEFT}


@pytest.mark.parametrize("settles", [1, 2])
def test_a_ledger_that_goes_away_at_the_end_keeps_nothing_out_of_the_report(engine: Engine, settles: int) -> None:
    hold(engine, run(engine, "killed"), LeaseKind.SSH_CERTIFICATE)
    report = sweep(GoesAway(engine, settles), [])
    assert [lease.outcome for lease in report.leases] == [SweepOutcome.IRREVOCABLE]
    assert report.ledger_failure
    assert outcomes(engine) == []


class ForgottenMeanwhile(SqlLedger):
    """A ledger in which another sweep forgets what it settled between reading and writing."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._own = engine

    def unsettled(self) -> tuple[Holding, ...]:
        found = super().unsettled()
        with self._own.begin() as connection:
            connection.execute(LEASES.delete())
            connection.execute(HOLDERS.delete())
        return found


def test_what_another_sweep_has_settled_and_forgotten_is_its_to_tell(engine: Engine) -> None:
    hold(engine, run(engine, "killed"), LeaseKind.SSH_CERTIFICATE)
    report = sweep(ForgottenMeanwhile(engine), [])
    assert (report.leases, report.ledger_failure) == ((), "")
