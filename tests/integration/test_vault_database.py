"""Users of a real PostgreSQL that exist while a run needs them: Vault makes them, and they are gone with the run."""

import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import hvac
import psycopg
import pytest
from pydantic import SecretStr

from holdtrue.adapters.ledger import open_ledger
from holdtrue.core.vault_policy import policy
from holdtrue.credentials.database import VaultDatabaseCredentials
from holdtrue.credentials.logins import AppRoleAuth
from holdtrue.credentials.scope import RunLabel, credential_scope
from holdtrue.credentials.sources import FileSource
from holdtrue.credentials.sweep import sweep
from holdtrue.credentials.vault import VaultCredentials
from holdtrue.errors import AccessDenied, HoldtrueError, RejectedError, ResourceMissing, ServiceUnreachable
from holdtrue.models.lease import LeaseKind, LeaseLedger, LeaseState
from holdtrue.models.sweep import SweepOutcome
from sandbox import Sandbox
from tests.long_form import long_form

MOUNT, ROLE = "pg", "reader"
ADMIN = "vault_admin"
TTL_SECONDS, MAX_TTL_SECONDS = long_form(5, 30), long_form(40, 900)
WRONG_PASSWORD = "no-longer-the-password"
GONE_SECONDS = 5.0
"""A run's users have to be gone this long after its end."""

MAKE_USER = (
    "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';"
    'GRANT SELECT ON orders TO "{{name}}";'
)
DROP_USER = 'REASSIGN OWNED BY "{{name}}" TO sandbox; DROP OWNED BY "{{name}}"; DROP ROLE IF EXISTS "{{name}}";'


@pytest.fixture(scope="module")
def admin(sandbox: Sandbox) -> hvac.Client:
    """Vault's database engine with a role for readers of one table."""
    postgres, client = sandbox.postgres, sandbox.openbao.client()
    password = "admin-password-of-the-database-test"
    postgres.execute(f"CREATE ROLE {ADMIN} SUPERUSER LOGIN PASSWORD '{password}'")
    postgres.execute("CREATE TABLE orders (id integer)")
    postgres.execute("INSERT INTO orders VALUES (42)")
    client.sys.enable_secrets_engine("database", path=MOUNT)
    configure(client, sandbox, password)
    client.write_data(f"{MOUNT}/roles/{ROLE}", data=role(TTL_SECONDS, MAX_TTL_SECONDS))
    return client


def configure(client: hvac.Client, sandbox: Sandbox, password: str, name: str = "orders", port: int = 0) -> None:
    client.write_data(
        f"{MOUNT}/config/{name}",
        data={
            "plugin_name": "postgresql-database-plugin",
            "connection_url": "postgresql://{{username}}:{{password}}@127.0.0.1:"
            f"{port or sandbox.postgres.port}/postgres?sslmode=disable&connect_timeout=2",
            "username": ADMIN,
            "password": password,
            "allowed_roles": "*",
            "verify_connection": False,
        },
    )


def role(ttl_seconds: int, max_ttl_seconds: int, database: str = "orders") -> dict[str, object]:
    return {
        "db_name": database,
        "creation_statements": [MAKE_USER],
        "revocation_statements": [DROP_USER],
        "default_ttl": f"{ttl_seconds}s",
        "max_ttl": f"{max_ttl_seconds}s",
    }


Login = Callable[..., VaultDatabaseCredentials]


@pytest.fixture
def credentials(
    sandbox: Sandbox, admin: hvac.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Login]:
    """References with the least policy that they ask for; fails the test that leaves a user in the database."""
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    assert admin.is_authenticated()
    before = sandbox.postgres.login_roles()
    secret_id = tmp_path / "secret-id"

    def make(name: str = ROLE) -> VaultDatabaseCredentials:
        vault = VaultCredentials(
            address=sandbox.openbao.address,
            ca_file=sandbox.openbao.ca_file,
            timeout_seconds=5,
            auth=AppRoleAuth(role_id=sandbox.openbao.role_id),
        )
        made = VaultDatabaseCredentials(
            vault=vault,
            mount=MOUNT,
            role=name,
            host="127.0.0.1",
            port=sandbox.postgres.port,
            database="postgres",
            driver="postgresql",
        )
        sandbox.openbao.write_policy("database-test", policy([vault.capabilities(), made.capabilities()]))
        issued = sandbox.openbao.issue_app_role(
            "database-test", policy="database-test", token_ttl_seconds=120, secret_id_ttl_seconds=600
        )
        secret_id.write_text(issued.secret_id.get_secret_value())
        auth = AppRoleAuth(role_id=issued.role_id, secret_id=FileSource(path=secret_id))
        return made.model_copy(update={"vault": vault.model_copy(update={"auth": auth})})

    yield make
    sandbox.postgres.resume()
    sandbox.postgres.start()
    assert gone(sandbox, before), sandbox.postgres.login_roles() - before


def gone(sandbox: Sandbox, before: frozenset[str]) -> bool:
    """Whether all users but those of before are gone, in time."""
    deadline = time.monotonic() + GONE_SECONDS
    while sandbox.postgres.login_roles() - before:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def ask(url: SecretStr, statement: str) -> object:
    with psycopg.connect(url.get_secret_value()) as connection:
        row = connection.execute(statement.encode()).fetchone()
        return row[0] if row else None


@pytest.mark.expected_service_errors("postgres", "permission denied for table orders", "Its user may only read.")
@pytest.mark.expected_service_errors(
    "postgres", "password authentication failed for user .v-", "Its user is gone after the run."
)
def test_a_user_may_do_what_its_role_says_and_is_in_the_ledger_first(credentials: Login) -> None:
    with credential_scope(RunLabel("run-1", "test", "database")) as scope:
        login = credentials().login()
        assert ask(login.url, "SELECT id FROM orders") == 42
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(login.url, "INSERT INTO orders VALUES (1) RETURNING id")
        (held,) = scope.ledger().unsettled()
        lease = next(item for item in held.leases if item.kind is LeaseKind.SECRET)
        assert (held.holder.run, lease.state, lease.path) == ("run-1", LeaseState.HELD, f"{MOUNT}/creds/{ROLE}")
        assert lease.reference.startswith(f"{MOUNT}/creds/{ROLE}/")
        assert lease.expires_at is not None
        assert 0 < (lease.expires_at - datetime.now(UTC)).total_seconds() <= TTL_SECONDS
        assert login.password.get_secret_value() not in repr((login, held))
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        ask(login.url, "SELECT 1")


def test_two_who_ask_get_a_user_each(sandbox: Sandbox, credentials: Login) -> None:
    with credential_scope():
        reference = credentials()
        first, second = reference.login(), reference.login()
        assert first.username != second.username
        assert {first.username, second.username} <= sandbox.postgres.login_roles()


@pytest.mark.soak
def test_a_user_outlives_its_first_lease_while_the_run_lasts(sandbox: Sandbox, credentials: Login) -> None:
    seen = len(sandbox.openbao.requests())
    with credential_scope() as scope:
        login = credentials().login()
        assert login.ttl_seconds == TTL_SECONDS
        first_end = end_of(scope.ledger())
        time.sleep(long_form(TTL_SECONDS + 2, 600))
        paths = [request.path for request in sandbox.openbao.requests()[seen:]]
        renewals = [path.rpartition("/")[0] for path in paths if "/renew" in path]
        assert len(renewals) >= 2
        assert renewals == ["auth/token", "sys/leases"] * (len(renewals) // 2), "a token goes before its lease"
        assert login.username in sandbox.postgres.login_roles()
        assert end_of(scope.ledger()) > first_end


def end_of(ledger: LeaseLedger) -> datetime:
    """When the one user in the ledger ends."""
    (lease,) = (item for held in ledger.unsettled() for item in held.leases if item.kind is LeaseKind.SECRET)
    assert lease.expires_at is not None
    return lease.expires_at


def test_a_role_that_allows_less_than_it_gives_has_the_last_word(
    sandbox: Sandbox, credentials: Login, admin: hvac.Client
) -> None:
    admin.write_data(f"{MOUNT}/roles/short", data=role(3, 4))
    before = sandbox.postgres.login_roles()
    with credential_scope() as scope:
        began = datetime.now(UTC)
        assert credentials("short").login().ttl_seconds == 3
        time.sleep(3)
        assert (end_of(scope.ledger()) - began).total_seconds() < 6, "the ledger believes what was asked for"
        assert gone(sandbox, before), "nothing renews beyond the role's maximum"
    assert open_ledger(os.environ["HOLDTRUE_LEDGER_URL"]).unsettled() == ()


def hold_until(end: type[BaseException], reference: VaultDatabaseCredentials) -> None:
    with credential_scope():
        reference.login()
        raise end


@pytest.mark.parametrize("end", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_user_is_gone_however_the_run_ends(sandbox: Sandbox, credentials: Login, end: type[BaseException]) -> None:
    before = sandbox.postgres.login_roles()
    with pytest.raises(end):
        hold_until(end, credentials())
    assert gone(sandbox, before)


def test_a_killed_run_s_user_is_swept_and_a_live_run_s_is_not(
    sandbox: Sandbox, credentials: Login, tmp_path: Path
) -> None:
    reference = credentials("long")
    admin = sandbox.openbao.client()
    admin.write_data(f"{MOUNT}/roles/long", data=role(300, 600))
    with held_by_another(reference) as (child, theirs), credential_scope() as scope:
        mine = reference.login().username
        assert {mine, theirs} <= sandbox.postgres.login_roles()
        child.kill()
        child.wait(5)
        report = sweep(scope.ledger(), [sweeping(sandbox, reference, tmp_path)])
        assert {item.outcome for item in report.leases if item.kind is LeaseKind.SECRET} == {SweepOutcome.REVOKED}
        assert (report.dead_runs, theirs in sandbox.postgres.login_roles()) == (1, False)
        assert mine in sandbox.postgres.login_roles()


HOLD_A_USER = """
import os, sys
from holdtrue.credentials.database import VaultDatabaseCredentials
from holdtrue.credentials.scope import credential_scope
with credential_scope():
    print(VaultDatabaseCredentials.model_validate_json(os.environ["REFERENCE"]).login().username, flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another(reference: VaultDatabaseCredentials) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A process that holds a user, and the user's name."""
    with subprocess.Popen(
        (sys.executable, "-c", HOLD_A_USER),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"REFERENCE": reference.model_dump_json()},
        text=True,
    ) as child:
        assert child.stdout is not None
        try:
            yield child, child.stdout.readline().strip()
        finally:
            child.kill()


def sweeping(sandbox: Sandbox, reference: VaultDatabaseCredentials, folder: Path) -> VaultCredentials:
    """The reference's Vault, by the login of the sweep."""
    path = folder / "sweep-secret-id"
    path.write_text(sandbox.openbao.sweep_role.secret_id.get_secret_value())
    auth = AppRoleAuth(role_id=sandbox.openbao.sweep_role.role_id, secret_id=FileSource(path=path))
    return reference.vault.model_copy(update={"auth": auth})


def refusal(kind: type[HoldtrueError], call: Callable[[], object], *named: str) -> None:
    with pytest.raises(HoldtrueError) as caught, credential_scope():
        call()
    assert type(caught.value) is kind, caught.value
    assert caught.value.next_step
    assert [text for text in named if text not in str(caught.value)] == []
    assert WRONG_PASSWORD not in "".join(traceback.format_exception(caught.value))


@pytest.mark.expected_service_errors(
    "postgres", "password authentication failed for user .vault_admin", "OpenBao is given a wrong password."
)
@pytest.mark.expected_service_errors("postgres", "role .nowhere. does not exist", "A role's statement is wrong.")
def test_what_cannot_be_made_says_why(sandbox: Sandbox, credentials: Login, admin: hvac.Client) -> None:
    refusal(ResourceMissing, credentials("nobody").login, f"{MOUNT}/creds/nobody")
    configure(admin, sandbox, WRONG_PASSWORD, "stale")
    admin.write_data(f"{MOUNT}/roles/stale", data=role(60, 60, "stale"))
    refusal(RejectedError, credentials("stale").login, f"{MOUNT}/creds/stale", "password authentication failed")
    statements = {"creation_statements": ["CREATE ROLE nobody IN ROLE nowhere"]}
    admin.write_data(f"{MOUNT}/roles/wrong", data=role(60, 60) | statements)
    refusal(RejectedError, credentials("wrong").login, f"{MOUNT}/creds/wrong", "nowhere")
    configure(admin, sandbox, "x", "down", port=1)
    admin.write_data(f"{MOUNT}/roles/down", data=role(60, 60, "down"))
    refusal(ServiceUnreachable, credentials("down").login, f"{MOUNT}/creds/down")
    reference = credentials()
    sandbox.openbao.write_policy("database-test", 'path "auth/token/revoke-self" { capabilities = ["update"] }')
    refusal(AccessDenied, reference.login, f'path "{MOUNT}/creds/{ROLE}" {{ capabilities = ["read"] }}')


def test_a_database_that_hangs_while_a_user_is_made_leaves_none(sandbox: Sandbox, credentials: Login) -> None:
    reference = credentials()
    impatient = reference.model_copy(update={"vault": reference.vault.model_copy(update={"timeout_seconds": 1})})
    sandbox.postgres.pause()
    refusal(ServiceUnreachable, impatient.login, f"{MOUNT}/creds/{ROLE}")
    sandbox.postgres.resume()
    time.sleep(1)  # For what Vault may still have under way; the fixture looks at what came of it.
    assert open_ledger(os.environ["HOLDTRUE_LEDGER_URL"]).unsettled() == ()


@pytest.mark.expected_service_errors(
    "openbao",
    "lease revocation failed|failed to revoke lease",
    "OpenBao cannot drop a user of a database that is down.",
)
def test_a_user_of_a_database_that_is_down_at_the_end_is_swept_when_it_is_back(
    sandbox: Sandbox, credentials: Login, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reference = credentials("long")
    sandbox.openbao.client().write_data(f"{MOUNT}/roles/long", data=role(300, 600))
    sweeper = sweeping(sandbox, reference, tmp_path)
    with credential_scope():
        username = reference.login().username
        sandbox.postgres.stop()
    assert f"could not revoke {MOUNT}/creds/long/" in caplog.text
    with credential_scope() as scope:
        left = sweep(scope.ledger(), [sweeper]).leases
        assert {item.outcome for item in left if item.kind is LeaseKind.SECRET} == {SweepOutcome.FAILED}
        sandbox.postgres.start()
        assert username in sandbox.postgres.login_roles()
        sweep(scope.ledger(), [sweeper])
        assert username not in sandbox.postgres.login_roles()
    assert open_ledger(os.environ["HOLDTRUE_LEDGER_URL"]).unsettled() == ()


def test_nothing_of_it_is_in_the_ledger_s_file(credentials: Login, tmp_path: Path) -> None:
    with credential_scope():
        login = credentials().login()
    content = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    assert b"pg/creds/reader" in content
    assert login.password.get_secret_value().encode() not in content
    assert open_ledger(os.environ["HOLDTRUE_LEDGER_URL"]).unsettled() == ()
