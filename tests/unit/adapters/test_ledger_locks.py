"""Locks in a ledger on SQLite: one gets it, fences rise, and nothing but its own fence releases it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from holdtrue.adapters.ledger import database, open_ledger
from holdtrue.adapters.ledger.tables import LOCKS
from holdtrue.errors import RejectedError
from holdtrue.models.lease import Holder, ProcessIdentity
from holdtrue.models.ledger import Ledger
from holdtrue.models.lock import EnvironmentLock

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def ledger(url: str) -> Ledger:
    return open_ledger(url)


def open_run(ledger: Ledger, user_id: int | None = 1000) -> UUID:
    process = ProcessIdentity(machine="boot/pid:[1]", pid=7, started_ticks=2**40, host="worker-1", user_id=user_id)
    holder = Holder(
        id=uuid4(),
        run="r",
        run_name="n",
        flow="f",
        process=process,
        opened_at=NOW,
        beat_at=NOW,
        closed_at=None,
    )
    ledger.open_holder(holder)
    return holder.id


def fence_of(lock: EnvironmentLock | None) -> int:
    assert lock is not None
    return lock.fence


def test_fences_rise_by_one_with_each_acquisition_and_never_come_again(ledger: Ledger) -> None:
    one, other = open_run(ledger), open_run(ledger)

    for fence, run in enumerate((one, other, one, one), start=1):
        lock = ledger.locks.acquire("demo", run)
        assert lock is not None
        assert lock.holder is not None
        assert (lock.environment, lock.fence, lock.holder.id) == ("demo", fence, run)
        found = ledger.locks.find("demo")
        assert found is not None
        assert found.holder is not None
        assert (found.fence, found.holder.id) == (fence, run)
        assert ledger.locks.release("demo", fence)


def test_the_holder_is_told_whole_with_its_silence_by_the_database_s_clock(ledger: Ledger) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    lock = ledger.locks.acquire("demo", open_run(ledger))

    assert lock is not None
    assert lock.holder is not None
    assert (lock.holder.run_name, lock.holder.process.host, lock.holder.process.pid) == ("n", "worker-1", 7)
    assert lock.holder.process.user_id == 1000
    assert lock.holder.beat_at > NOW
    assert before <= lock.acquired_at <= datetime.now(UTC)
    assert lock.silent_seconds < 5


def test_nobody_gets_what_is_held_not_even_its_holder(ledger: Ledger) -> None:
    one, other = open_run(ledger), open_run(ledger)
    held = ledger.locks.acquire("demo", one)

    assert ledger.locks.acquire("demo", other) is None
    assert ledger.locks.acquire("demo", one) is None
    assert ledger.locks.acquire("demo", other, take_over_fence=99) is None
    found = ledger.locks.find("demo")
    assert held is not None
    assert found is not None
    assert found.model_copy(update={"silent_seconds": held.silent_seconds}) == held


def test_environments_do_not_touch_each_other(ledger: Ledger) -> None:
    one, other = open_run(ledger), open_run(ledger)

    assert fence_of(ledger.locks.acquire("b", one)) == 1
    assert fence_of(ledger.locks.acquire("a", other)) == 1
    assert [(lock.environment, lock.holder.id) for lock in ledger.locks.all() if lock.holder] == [
        ("a", other),
        ("b", one),
    ]


def test_what_was_never_taken_is_not_there(ledger: Ledger) -> None:
    assert ledger.locks.find("demo") is None
    assert ledger.locks.all() == ()
    assert not ledger.locks.release("demo", 1)


def test_a_takeover_names_the_fence_it_takes_over(ledger: Ledger) -> None:
    dead, one, other = open_run(ledger), open_run(ledger), open_run(ledger)
    ledger.locks.acquire("demo", dead)

    assert fence_of(ledger.locks.acquire("demo", one, take_over_fence=1)) == 2
    assert ledger.locks.acquire("demo", other, take_over_fence=1) is None, "it has seen the one before"


def test_a_release_never_frees_what_another_run_has_since_taken(ledger: Ledger) -> None:
    dead, one = open_run(ledger), open_run(ledger)
    ledger.locks.acquire("demo", dead)
    ledger.locks.acquire("demo", one, take_over_fence=1)

    assert not ledger.locks.release("demo", 1)
    ledger.close_holder(dead, NOW)
    found = ledger.locks.find("demo")
    assert found is not None
    assert found.holder is not None
    assert (found.fence, found.holder.id) == (2, one)


def test_a_run_that_is_closed_holds_no_lock_and_gets_none(ledger: Ledger) -> None:
    over, one = open_run(ledger), open_run(ledger)
    ledger.locks.acquire("demo", over)
    ledger.locks.acquire("other", over)
    ledger.close_holder(over, NOW)

    assert [(lock.fence, lock.holder) for lock in ledger.locks.all()] == [(1, None), (1, None)]
    for run in (over, uuid4()):
        with pytest.raises(RejectedError, match="over"):
            ledger.locks.acquire("demo", run)
    assert fence_of(ledger.locks.acquire("demo", one)) == 2


def test_a_run_that_holds_a_lock_is_not_forgotten(ledger: Ledger) -> None:
    locking, other = open_run(ledger), open_run(ledger)
    ledger.locks.acquire("demo", locking)
    long_after = datetime.now(UTC) + timedelta(days=400)

    assert ledger.prune(long_after) == 1
    found = ledger.locks.find("demo")
    assert found is not None
    assert found.holder is not None
    assert found.holder.id == locking
    assert other != locking
    ledger.locks.release("demo", 1)
    assert ledger.prune(long_after) == 1
    assert fence_of(ledger.locks.find("demo")) == 1, "the fence is kept"


def test_the_table_holds_what_the_model_says_and_nothing_else() -> None:
    assert {column.name for column in LOCKS.c} == set(EnvironmentLock.model_fields) - {"silent_seconds"}


def test_a_ledger_of_version_0001_is_migrated_with_what_is_in_it(url: str) -> None:
    make_version_0001(url)

    ledger = open_ledger(url)

    (left,) = ledger.unsettled()
    assert left.holder.run_name == "from 0001"
    assert left.holder.process.user_id is None
    assert [lease.reference for lease in left.leases] == ["an-accessor"]
    assert fence_of(ledger.locks.acquire("demo", left.holder.id)) == 1
    with database.connect(url).connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == database.HEAD


def make_version_0001(url: str) -> None:
    """A ledger as the former version has left it, with one run and one lease."""
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    holder, lease = uuid4().hex, uuid4().hex
    with create_engine(url).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO holders VALUES (:id, 'r', 'from 0001', 'f', 'm', 7, '99', 'h', :now, :now, NULL)"
            ).bindparams(id=holder, now="2026-01-02 03:04:05.000000")
        )
        connection.execute(
            text(
                "INSERT INTO leases VALUES "
                "(:id, :holder, 'token', 'https://vault', '', 'auth/x/login', 'an-accessor', :now, :now, 'held')"
            ).bindparams(id=lease, holder=holder, now="2026-01-02 03:04:05.000000")
        )
