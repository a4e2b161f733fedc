"""The ledger that several workers share: one PostgreSQL, opened by all at once, away, or refusing."""

import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, text

from holdtrue.adapters.ledger import database, open_ledger
from holdtrue.adapters.ledger.ledger import SqlLedger
from holdtrue.credentials.logins import AppRoleAuth
from holdtrue.credentials.scope import credential_scope
from holdtrue.credentials.sources import FileSource
from holdtrue.credentials.sweep import sweep
from holdtrue.credentials.vault import VaultCredentials
from holdtrue.errors import (
    AccessDenied,
    HoldtrueError,
    ResourceMissing,
    ServiceNotReady,
    ServiceUnreachable,
    TransientError,
)
from holdtrue.models.lease import Holder, Holding, Lease, LeaseKind, LeaseLedger, LeaseState
from holdtrue.models.sweep import SweepOutcome, SweepReport
from holdtrue.runtime.liveness import current_process
from sandbox import Sandbox
from tests.long_form import long_form

OPENERS = 8
WRITERS, LEASES = 8, long_form(11, 1001)
LEFT = 8

OPEN = """
    import sys
    import alembic.command
    from holdtrue.adapters.ledger import database, open_ledger

    migrate = database._migrate

    def migrate_together(engine):
        print("found it empty", flush=True)
        sys.stdin.readline()
        migrate(engine)

    database._migrate = migrate_together
    print(len(open_ledger(sys.argv[1]).unsettled()))
"""


@pytest.fixture
def url(sandbox: Sandbox) -> Iterator[SecretStr]:
    """An empty database."""
    name = f"ledger_{uuid4().hex[:8]}"
    sandbox.postgres.execute(f"CREATE DATABASE {name}")
    yield sandbox.postgres.url(name)
    sandbox.postgres.resume()
    sandbox.postgres.start()
    sandbox.postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def ledger(url: SecretStr) -> LeaseLedger:
    return open_ledger(url.get_secret_value())


@contextmanager
def server(url: SecretStr) -> Iterator[Connection]:
    """A connection beside the ledger's."""
    engine = create_engine(url.get_secret_value(), poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def a_holder() -> Holder:
    now = datetime.now(UTC)
    return Holder(
        id=uuid4(),
        run="r",
        run_name="n",
        flow="f",
        process=current_process(),
        opened_at=now,
        beat_at=now,
        closed_at=None,
    )


def a_lease(holder: Holder) -> Lease:
    return Lease(
        id=uuid4(),
        holder=holder.id,
        kind=LeaseKind.TOKEN,
        server="https://vault",
        path="auth/approle/login",
        requested_at=datetime.now(UTC),
        expires_at=None,
        state=LeaseState.REQUESTED,
    )


def test_workers_that_start_together_make_its_tables_once(url: SecretStr) -> None:
    address = url.get_secret_value()
    children = [
        subprocess.Popen(
            (sys.executable, "-c", dedent(OPEN), address),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(OPENERS)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "found it empty\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    answers = [child.communicate(timeout=60) for child in children]
    assert answers == [("0\n", "")] * OPENERS
    with server(url) as connection:
        assert connection.scalars(text("SELECT version_num FROM alembic_version")).all() == [database.HEAD]


@pytest.mark.soak
def test_many_writers_lose_nothing(url: SecretStr) -> None:
    def write(_: int) -> Holder:
        own = open_ledger(url.get_secret_value())
        holder = a_holder()
        own.open_holder(holder)
        for number in range(LEASES):
            lease = a_lease(holder)
            own.request(lease)
            own.hold(lease.id, f"accessor-{number}", datetime.now(UTC))
            if number % 2:
                own.settle(lease.id, LeaseState.REVOKED)
        return holder

    with ThreadPoolExecutor(WRITERS) as pool:
        holders = list(pool.map(write, range(WRITERS)))
    left = open_ledger(url.get_secret_value()).unsettled()
    assert {item.holder.id for item in left} == {holder.id for holder in holders}
    assert {len(item.leases) for item in left} == {(LEASES + 1) // 2}


def test_a_lease_from_request_to_revocation(ledger: LeaseLedger) -> None:
    holder = a_holder()
    lease = a_lease(holder)
    expires_at = datetime(2031, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
    ledger.open_holder(holder)
    ledger.request(lease)
    ledger.hold(lease.id, "the-accessor", expires_at)
    (left,) = ledger.unsettled()
    assert left.holder == holder.model_copy(update={"beat_at": left.holder.beat_at})
    assert [(item.reference, item.expires_at, item.state) for item in left.leases] == [
        ("the-accessor", expires_at, LeaseState.HELD)
    ]
    ledger.settle(lease.id, LeaseState.REVOKED)
    ledger.close_holder(holder.id, datetime.now(UTC))
    assert ledger.unsettled() == ()


def refusal(kind: type[HoldtrueError], url: SecretStr) -> None:
    with pytest.raises(HoldtrueError) as caught:
        open_ledger(url.get_secret_value())
    assert isinstance(caught.value, kind), caught.value
    assert caught.value.next_step
    assert "127.0.0.1" in str(caught.value)


@pytest.mark.expected_service_errors(
    "postgres",
    "password authentication failed|no_such_database|permission denied for schema|too many connections for role",
    "A wrong password, database and role, and one connection too many are tried.",
)
def test_who_may_not_is_told_so_without_the_password(sandbox: Sandbox, url: SecretStr) -> None:
    wrong = sandbox.postgres.url(password=SecretStr("a-wrong-password"))
    with pytest.raises(AccessDenied, match="refused user or password") as caught:
        open_ledger(wrong.get_secret_value())
    assert "a-wrong-password" not in "".join(traceback.format_exception(caught.value))
    refusal(ResourceMissing, sandbox.postgres.url("no_such_database"))
    sandbox.postgres.execute("CREATE ROLE ledger_reader LOGIN PASSWORD 'reader-password'")
    name = url.get_secret_value().rpartition("/")[2]
    reader = sandbox.postgres.url(name, user="ledger_reader", password=SecretStr("reader-password"))
    refusal(AccessDenied, reader)
    sandbox.postgres.execute("ALTER ROLE ledger_reader CONNECTION LIMIT 0")
    refusal(ServiceNotReady, reader)
    sandbox.postgres.execute("DROP ROLE ledger_reader")


def test_a_server_that_is_away_is_transient_and_comes_back(sandbox: Sandbox, ledger: LeaseLedger) -> None:
    holder = a_holder()
    ledger.open_holder(holder)
    sandbox.postgres.stop()
    with pytest.raises(TransientError, match="does not answer"):
        ledger.request(a_lease(holder))
    sandbox.postgres.start()
    ledger.request(a_lease(holder))
    assert len(ledger.unsettled()[0].leases) == 1


def test_a_server_that_hangs_is_not_waited_for_without_end(
    sandbox: Sandbox, url: SecretStr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_WAIT_SECONDS", 2)
    ledger, holder = open_ledger(url.get_secret_value()), a_holder()
    sandbox.postgres.pause()
    with pytest.raises(ServiceUnreachable, match="does not answer"):
        ledger.open_holder(holder)
    sandbox.postgres.resume()
    ledger.open_holder(holder)


def test_it_is_written_at_the_exit_of_a_process_that_can_start_no_thread(
    ledger: LeaseLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    holder = a_holder()
    monkeypatch.setattr(threading.Timer, "start", refuse)
    ledger.open_holder(holder)
    ledger.close_holder(holder.id, datetime.now(UTC))


def test_a_server_that_freezes_after_it_was_connected_to_is_not_waited_for_without_end(
    sandbox: Sandbox, url: SecretStr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_WAIT_SECONDS", 1)
    engine = database.connect(url.get_secret_value())
    ledger, holder = SqlLedger(engine), a_holder()
    ledger.open_holder(holder)

    def freeze(*_: object) -> None:
        sandbox.postgres.pause()

    event.listen(engine, "before_cursor_execute", freeze)
    began = time.monotonic()
    with pytest.raises(ServiceUnreachable, match="does not answer"):
        ledger.beat(holder.id)
    assert time.monotonic() - began < 10
    event.remove(engine, "before_cursor_execute", freeze)
    sandbox.postgres.resume()
    ledger.beat(holder.id)


@pytest.mark.expected_service_errors(
    "postgres",
    "canceling statement due to lock timeout",
    "The ledger does not wait for a table that another one locks.",
)
def test_a_table_that_somebody_keeps_locked_is_not_waited_for_without_end(
    url: SecretStr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_WAIT_SECONDS", 1)
    ledger, holder = open_ledger(url.get_secret_value()), a_holder()
    with server(url) as connection:
        connection.execute(text("LOCK TABLE holders"))
        with pytest.raises(ServiceNotReady, match="keeps it locked"):
            ledger.open_holder(holder)
    ledger.open_holder(holder)


# Two sweeps at once


def test_two_sweeps_at_once_tell_of_each_lease_once(
    sandbox: Sandbox, url: SecretStr, ledger: LeaseLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", url.get_secret_value())
    left = {lease.reference: lease.state for lease in left_by_a_dead_run(sandbox, ledger)}
    secret_id = tmp_path / "secret-id"
    secret_id.write_text(sandbox.openbao.sweep_role.secret_id.get_secret_value())
    vault = VaultCredentials(
        address=sandbox.openbao.address,
        ca_file=sandbox.openbao.ca_file,
        auth=AppRoleAuth(role_id=sandbox.openbao.sweep_role.role_id, secret_id=FileSource(path=secret_id)),
    )
    readers = threading.Barrier(2, timeout=30)

    def sweep_together() -> SweepReport:
        with credential_scope():
            vault.connect().session()
            return sweep(ReadTogether(database.connect(url.get_secret_value()), readers), [vault])

    with ThreadPoolExecutor(2) as pool:
        sweeps = [pool.submit(sweep_together) for _ in range(2)]
        told = [lease for one in sweeps for lease in one.result().leases]
    lost = [lease for lease in told if lease.outcome is SweepOutcome.LOST]
    ended = [lease for lease in told if lease.outcome is not SweepOutcome.LOST]
    held = sorted(reference for reference, state in left.items() if state is LeaseState.HELD)
    assert sorted(lease.reference for lease in ended) == held
    assert {lease.outcome for lease in ended} <= {SweepOutcome.REVOKED, SweepOutcome.GONE}
    assert [lease.reference for lease in lost] == ["", ""], "each sweep tells of it while it may live"
    ((unanswered,),) = (found.leases for found in ledger.unsettled())
    assert unanswered.state is LeaseState.REQUESTED
    assert not set(left) & sandbox.openbao.accessors()


class ReadTogether(SqlLedger):
    """A ledger whose readers go on when all have read."""

    def __init__(self, engine: Engine, readers: threading.Barrier) -> None:
        super().__init__(engine)
        self._readers = readers

    def unsettled(self) -> tuple[Holding, ...]:
        found = super().unsettled()
        self._readers.wait()
        return found


def left_by_a_dead_run(sandbox: Sandbox, ledger: LeaseLedger) -> list[Lease]:
    """Tokens that live, and one request that nobody knows the answer of."""
    holder, until = a_holder(), datetime.now(UTC) + timedelta(minutes=10)
    ledger.open_holder(holder)
    for _ in range(LEFT):
        token = sandbox.openbao.issue_token(ttl_seconds=600)
        accessor = sandbox.openbao.client(token).auth.token.lookup_self()["data"]["accessor"]
        lease = a_lease(holder).model_copy(update={"server": sandbox.openbao.address})
        ledger.request(lease)
        ledger.hold(lease.id, accessor, until)
    ledger.request(a_lease(holder))
    ledger.close_holder(holder.id, datetime.now(UTC))
    (found,) = ledger.unsettled()
    return list(found.leases)
