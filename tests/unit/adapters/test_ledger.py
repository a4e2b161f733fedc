"""The ledger in SQLite: what it promises, what it refuses, and what it says when it cannot be used."""

import fcntl
import stat
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from holdtrue.adapters.ledger import database, open_ledger
from holdtrue.adapters.ledger.ledger import SqlLedger
from holdtrue.adapters.ledger.tables import HOLDERS, LEASES, METADATA
from holdtrue.errors import (
    AccessDenied,
    HoldtrueError,
    RejectedError,
    ResourceMissing,
    ServiceNotReady,
    ServiceUnreachable,
    SettingInvalid,
)
from holdtrue.models.lease import Holder, Lease, LeaseKind, LeaseLedger, LeaseState, ProcessIdentity
from holdtrue.runtime.redaction import SECRETS, redact_text

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _forgets_its_secrets() -> Iterator[None]:
    """Passwords of addresses are registered for the run, or else for the whole process."""
    with SECRETS.open():
        yield


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state/ledger.db"


@pytest.fixture
def ledger(url: str) -> LeaseLedger:
    return open_ledger(url)


def a_holder(opened_at: datetime = NOW) -> Holder:
    process = ProcessIdentity(machine="boot/pid:[1]", pid=7, started_ticks=2**40, host="worker-1")
    return Holder(
        id=uuid4(),
        run="r",
        run_name="n",
        flow="f",
        process=process,
        opened_at=opened_at,
        beat_at=opened_at,
        closed_at=None,
    )


def a_lease(holder: Holder) -> Lease:
    return Lease(
        id=uuid4(),
        holder=holder.id,
        kind=LeaseKind.TOKEN,
        server="https://vault",
        path="auth/approle/login",
        requested_at=NOW,
        expires_at=None,
        state=LeaseState.REQUESTED,
    )


def test_a_lease_from_request_to_revocation(ledger: LeaseLedger) -> None:
    holder = a_holder()
    lease = a_lease(holder)
    ledger.open_holder(holder)
    ledger.request(lease)
    (found,) = ledger.unsettled()
    assert found.holder == holder.model_copy(update={"beat_at": found.holder.beat_at})
    assert found.leases == (lease,)
    ledger.hold(lease.id, "accessor", NOW + timedelta(hours=1))
    ledger.hold(lease.id, "accessor", NOW + timedelta(hours=2))
    ((held,),) = (holding.leases for holding in ledger.unsettled())
    assert (held.reference, held.expires_at, held.state) == ("accessor", NOW + timedelta(hours=2), LeaseState.HELD)
    ledger.settle(lease.id, LeaseState.REVOKED)
    assert ledger.unsettled() == ()


def test_times_are_kept_whatever_zone_they_come_in(ledger: LeaseLedger) -> None:
    holder = a_holder(NOW.astimezone())
    ledger.open_holder(holder)
    ledger.request(a_lease(holder))
    (found,) = ledger.unsettled()
    assert found.holder.opened_at == NOW
    assert found.holder.opened_at.tzinfo is not None


def test_silence_is_told_by_the_database_s_clock_whatever_the_worker_s_says(ledger: LeaseLedger) -> None:
    holder = a_holder(NOW - timedelta(days=400))
    ledger.open_holder(holder)
    ledger.request(a_lease(holder))
    (opened,) = ledger.unsettled()
    assert opened.silent_seconds < 5
    ledger.beat(holder.id)
    (found,) = ledger.unsettled()
    assert found.silent_seconds < 5
    assert found.holder.beat_at > NOW


def test_a_run_that_ended_stays_ended(ledger: LeaseLedger) -> None:
    holder = a_holder()
    lease = a_lease(holder)
    ledger.open_holder(holder)
    ledger.request(lease)
    ledger.close_holder(holder.id, NOW)
    with pytest.raises(RejectedError, match="over"):
        ledger.beat(holder.id)
    with pytest.raises(RejectedError, match="over"):
        ledger.request(a_lease(holder))
    ledger.hold(lease.id, "what-was-under-way", NOW)
    (found,) = ledger.unsettled()
    assert found.holder.closed_at == NOW


def test_what_is_settled_stays_settled(ledger: LeaseLedger) -> None:
    holder = a_holder()
    lease = a_lease(holder)
    ledger.open_holder(holder)
    ledger.request(lease)
    assert ledger.settle(lease.id, LeaseState.LOST)
    assert not ledger.settle(lease.id, LeaseState.REVOKED)
    with pytest.raises(RejectedError, match="lost"):
        ledger.hold(lease.id, "late", NOW)
    with pytest.raises(ValueError, match="held"):
        ledger.settle(lease.id, LeaseState.HELD)


def test_what_is_left_to_its_own_end_is_settled_and_keeps_it(ledger: LeaseLedger, url: str) -> None:
    holder = a_holder()
    lease = a_lease(holder)
    ledger.open_holder(holder)
    ledger.request(lease)
    ledger.hold(lease.id, "a-serial", NOW + timedelta(hours=1))
    assert ledger.settle(lease.id, LeaseState.LEFT)
    assert ledger.unsettled() == ()
    with database.connect(url).connect() as connection:
        (row,) = connection.execute(LEASES.select())
    assert (row.state, row.reference, row.expires_at) == ("left", "a-serial", NOW + timedelta(hours=1))
    ledger.close_holder(holder.id, NOW)
    assert ledger.prune(NOW + timedelta(days=1)) == 1


def test_what_is_not_listed_is_an_error(ledger: LeaseLedger) -> None:
    lost = a_lease(a_holder())
    calls: list[tuple[type[HoldtrueError], Callable[[], object]]] = [
        (RejectedError, lambda: ledger.request(lost)),
        (ResourceMissing, lambda: ledger.hold(lost.id, "x", NOW)),
        (ResourceMissing, lambda: ledger.settle(lost.id, LeaseState.REVOKED)),
        (ResourceMissing, lambda: ledger.beat(lost.holder)),
        (ResourceMissing, lambda: ledger.close_holder(lost.holder, NOW)),
    ]
    for kind, call in calls:
        with pytest.raises(kind):
            call()


def test_old_runs_are_forgotten_but_not_what_they_still_hold(ledger: LeaseLedger) -> None:
    settled, holding, young = a_holder(), a_holder(), a_holder()
    for holder in (settled, holding, young):
        ledger.open_holder(holder)
        ledger.open_holder(holder)  # Twice is once.
    left = a_lease(holding)
    gone = a_lease(settled)
    for lease in (left, gone):
        ledger.request(lease)
    ledger.settle(gone.id, LeaseState.REVOKED)
    for holder, ended in ((settled, NOW), (holding, NOW), (young, NOW + timedelta(days=2))):
        ledger.close_holder(holder.id, ended)
        ledger.close_holder(holder.id, ended + timedelta(days=9))  # The first end counts.
    assert ledger.prune(NOW + timedelta(days=1)) == 1
    assert [found.holder.id for found in ledger.unsettled()] == [holding.id]


def test_runs_that_fell_silent_are_forgotten_too(ledger: LeaseLedger) -> None:
    silent, live = a_holder(), a_holder()
    ledger.open_holder(silent)
    later = datetime.now(UTC) + timedelta(days=1)
    assert ledger.prune(NOW) == 0
    ledger.open_holder(live)
    ledger.request(a_lease(live))
    assert ledger.prune(later) == 1
    assert [found.holder.id for found in ledger.unsettled()] == [live.id]


def test_the_tables_hold_what_the_models_say_and_nothing_else() -> None:
    assert {column.name for column in LEASES.c} == set(Lease.model_fields)
    described = set(Holder.model_fields) - {"process"} | set(ProcessIdentity.model_fields)
    assert {column.name for column in HOLDERS.c} == described


def test_migrations_make_these_tables(url: str) -> None:
    open_ledger(url)
    with database.connect(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    folder = Path(database.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == database.HEAD


def test_the_file_is_for_its_owner_only(url: str, tmp_path: Path) -> None:
    open_ledger(url)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / "ledger.db").stat().st_mode) == 0o600


def test_a_newer_ledger_is_refused(url: str) -> None:
    with database.connect(url).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(RejectedError, match="9999"):
        open_ledger(url)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("no url at all", SettingInvalid),
        ("sqlite://", SettingInvalid),
        ("sqlite:///:memory:", SettingInvalid),
        ("mysql://user:pass-word@host/db", SettingInvalid),
        ("postgresql+psycopg://user:a@b:pass-word@host/db", SettingInvalid),
        ("postgresql+psycopg://user:a@pass-word@host/db", SettingInvalid),
        ("postgresql+psycopg://user:a@b/pass-word@host/db", SettingInvalid),
        ("postgresql+psycopg://127.0.0.1:9/ledger?user=u&password=pass-word&sslpassword=pass-word", ServiceUnreachable),
        ("postgresql+psycopg://u@127.0.0.1:9/ledger?passwd=pass-word", RejectedError),
        ("postgresql+psycopg://u@127.0.0.1:9/ledger?options=-c%20app.key%3Dpass-word", ServiceUnreachable),
        ("sqlite:////proc/no/ledger.db", AccessDenied),
        ("postgresql+psycopg://user:pass-word@127.0.0.1:9/ledger", ServiceUnreachable),
    ],
)
def test_an_address_that_cannot_be_used_is_told_without_its_password(url: str, kind: type[HoldtrueError]) -> None:
    with pytest.raises(HoldtrueError) as caught:
        open_ledger(url)
    assert type(caught.value) is kind
    assert "pass-word" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.next_step


def test_a_password_among_the_parameters_is_a_secret_everywhere() -> None:
    engine = database._postgresql(
        database._address("postgresql+psycopg://127.0.0.1:9/ledger?user=u&password=query-pass-word")
    )
    assert "query-pass-word" not in repr(SqlLedger(engine))
    assert "127.0.0.1" in repr(SqlLedger(engine))
    assert "query-pass-word" not in redact_text("connecting with query-pass-word")


def test_parameters_that_hold_no_secret_are_shown() -> None:
    url = "postgresql+psycopg://u@127.0.0.1:9/ledger?sslmode=require&connect_timeout=3"
    with pytest.raises(ServiceUnreachable, match="connect_timeout=3&sslmode=require"):
        open_ledger(url)


def test_a_lock_that_another_process_keeps_is_not_waited_for_without_end(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_QUEUE_SECONDS", 0.2)
    (tmp_path / "state").mkdir()
    with (tmp_path / "state" / "ledger.db.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ServiceNotReady, match="migrating"):
            open_ledger(url)
    assert open_ledger(url).unsettled() == ()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("this is a text and no database at all, and long enough to be read as one" * 20)
    with pytest.raises(RejectedError, match="not an SQLite database"):
        open_ledger(f"sqlite:///{tmp_path}/ledger.db")
