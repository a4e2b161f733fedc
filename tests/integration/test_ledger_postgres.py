"""The ledger that several workers share: one PostgreSQL, opened by all at once, away, or refusing."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from textwrap import dedent
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from holdtrue.adapters.ledger import open_ledger
from holdtrue.adapters.ledger.database import HEAD
from holdtrue.errors import AccessDenied, HoldtrueError, ResourceMissing, TransientError
from holdtrue.models.lease import Holder, Lease, LeaseKind, LeaseLedger, LeaseState
from holdtrue.runtime.liveness import current_process
from sandbox import Sandbox
from sandbox.postgres import Postgres

OPENERS = 8
WRITERS, LEASES = 8, 25

OPEN = """
    import sys
    from holdtrue.adapters.ledger import open_ledger
    sys.stdin.readline()
    print(len(open_ledger(sys.argv[1]).unsettled()))
"""


@pytest.fixture
def url(sandbox: Sandbox) -> Iterator[SecretStr]:
    """An empty database."""
    name = f"ledger_{uuid4().hex[:8]}"
    sandbox.postgres.execute(f"CREATE DATABASE {name}")
    yield sandbox.postgres.url(name)
    sandbox.postgres.start()
    sandbox.postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def ledger(url: SecretStr) -> LeaseLedger:
    return open_ledger(url.get_secret_value())


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
    answers = [child.communicate("go\n", timeout=60) for child in children]
    assert answers == [("0\n", "")] * OPENERS
    engine = create_engine(address)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == HEAD
    engine.dispose()


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
    assert left.holder == holder
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


def test_who_may_not_is_told_so_without_the_password(sandbox: Sandbox, url: SecretStr) -> None:
    wrong = sandbox.postgres.url(password=SecretStr("a-wrong-password"))
    with pytest.raises(AccessDenied, match="refused user or password") as caught:
        open_ledger(wrong.get_secret_value())
    assert "a-wrong-password" not in str(caught.value)
    refusal(ResourceMissing, sandbox.postgres.url("no_such_database"))
    sandbox.postgres.execute("CREATE ROLE ledger_reader LOGIN PASSWORD 'reader-password'")
    name = url.get_secret_value().rpartition("/")[2]
    refusal(AccessDenied, sandbox.postgres.url(name, user="ledger_reader", password=SecretStr("reader-password")))
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


def test_positive_control_a_server_that_is_there_answers(sandbox: Sandbox) -> None:
    assert isinstance(sandbox.postgres, Postgres)
    assert sandbox.postgres.execute("SELECT 1") == [1]
