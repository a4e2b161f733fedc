"""Real processes that hold a secret's login, a database user and a certificate: nothing of it outlives them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import hvac
import pytest

from holdtrue.adapters.ledger import open_ledger
from holdtrue.core.vault_policy import SWEEP_CAPABILITIES, policy
from holdtrue.credentials.database import VaultDatabaseCredentials
from holdtrue.credentials.logins import AppRoleAuth
from holdtrue.credentials.pki import VaultPki
from holdtrue.credentials.scope import credential_scope, current_scope
from holdtrue.credentials.sources import FileSource
from holdtrue.credentials.sweep import sweep
from holdtrue.credentials.vault import VaultCredentials, VaultSecret
from holdtrue.models.sweep import SweepOutcome, SweepReport
from sandbox import Sandbox

DATABASE, PKI, PATH = "hygiene-db", "hygiene-pki", "holdtrue/hygiene"
ADMIN = "hygiene_admin"
GONE_SECONDS = 5.0
"""What a process held has to be gone this long after its end."""
TASKS = 100

PROGRAM = """
    import sys, time
    from pathlib import Path

    how, end, folder = sys.argv[1:]
    if how != "flow that imports":
        import holdtrue.credentials.scope

    def document(name):
        return Path(folder, name).read_text()

    def hold():
        from holdtrue.credentials.database import VaultDatabaseCredentials
        from holdtrue.credentials.pki import VaultPki
        from holdtrue.credentials.vault import VaultSecret

        VaultSecret.model_validate_json(document("secret")).get()
        login = VaultDatabaseCredentials.model_validate_json(document("database")).login()
        print(login.username, VaultPki.model_validate_json(document("pki")).issue().serial, flush=True)
        if end == "failure":
            raise RuntimeError("failed on purpose")
        if end == "wait":
            # A terminated flow waits for the tasks that it submitted, and they hold all of it meanwhile.
            time.sleep(5 if how == "tasks" else 60)

    match how:
        case "script":
            hold()
        case "scope":
            with holdtrue.credentials.scope.credential_scope():
                hold()
        case _:
            from prefect import flow, task

            def in_a_task():
                task(hold).submit().result()

            flow(name="hygiene")(in_a_task if how == "tasks" else hold)()
"""

LOAD = """
    from prefect import flow, task
    from blocks.vault import VaultSecret

    @task
    def read() -> int:
        return len(VaultSecret.load("hygiene").get().get_secret_value())

    @flow
    def many() -> int:
        return sum(future.result() for future in [read.submit() for _ in range(%d)])

    print(many())
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """The references that a process is given, and what lived before it began."""

    sandbox: Sandbox
    folder: Path
    vault: VaultCredentials
    users: frozenset[str]
    tokens: frozenset[str]

    def run(self, *command: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            # Tests that run in the background may hand down an ignored SIGHUP, which then stays ignored.
            ("env", "--default-signal=HUP", sys.executable, *command),
            env=os.environ | self.sandbox.prefect.environment() | {"PREFECT_LOGGING_LEVEL": "ERROR"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    @contextmanager
    def holder(self, how: str, end: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
        """A process that holds all three, and its certificate's serial."""
        with self.run("-c", dedent(PROGRAM), how, end, str(self.folder)) as child:
            try:
                assert child.stdout is not None
                user, _, serial = child.stdout.readline().strip().partition(" ")
                assert user in self.sandbox.postgres.login_roles() or end != "wait"
                yield child, serial
            finally:
                child.kill()

    def live(self, serial: str) -> dict[str, object]:
        """What of it lives."""
        certificate = self.sandbox.openbao.client().read(f"{PKI}/cert/{serial}")["data"]
        return {
            "tokens": self.sandbox.openbao.accessors() - self.tokens,
            "users": self.sandbox.postgres.login_roles() - self.users,
            "certificate": not certificate["revocation_time"],
        }

    def is_gone(self, serial: str) -> bool:
        deadline = time.monotonic() + GONE_SECONDS
        while any(self.live(serial).values()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return open_ledger(os.environ["HOLDTRUE_LEDGER_URL"]).unsettled() == ()

    def sweeper(self) -> VaultCredentials:
        """A login that may end all three."""
        openbao, may_revoke = self.sandbox.openbao, {f"{PKI}/revoke": "update"}
        openbao.write_policy("hygiene-sweep", policy([SWEEP_CAPABILITIES, may_revoke]))
        role = openbao.issue_app_role(
            "hygiene-sweep", policy="hygiene-sweep", token_ttl_seconds=300, secret_id_ttl_seconds=600
        )
        file = self.folder / "sweep-secret-id"
        file.write_text(role.secret_id.get_secret_value())
        auth = AppRoleAuth(role_id=role.role_id, secret_id=FileSource(path=file))
        return self.vault.model_copy(update={"auth": auth})


@pytest.fixture(scope="module")
def admin(sandbox: Sandbox) -> hvac.Client:
    """OpenBao with a database engine and a PKI."""
    password, client = "admin-password-of-the-hygiene-test", sandbox.openbao.client()
    sandbox.postgres.execute(f"CREATE ROLE {ADMIN} SUPERUSER LOGIN PASSWORD '{password}'")
    client.sys.enable_secrets_engine("database", path=DATABASE)
    url = f"postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{sandbox.postgres.port}/postgres?sslmode=disable"
    client.write_data(
        f"{DATABASE}/config/main",
        data={
            "plugin_name": "postgresql-database-plugin",
            "connection_url": url,
            "username": ADMIN,
            "password": password,
            "allowed_roles": "*",
        },
    )
    make = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';"
    role = {"db_name": "main", "creation_statements": [make], "default_ttl": "300s", "max_ttl": "600s"}
    client.write_data(f"{DATABASE}/roles/reader", data=role)
    client.sys.enable_secrets_engine("pki", path=PKI)
    client.write_data(f"{PKI}/root/generate/internal", data={"common_name": "hygiene", "ttl": "2h"})
    client.write_data(f"{PKI}/roles/client", data={"allowed_domains": "example.org", "allow_subdomains": True})
    return client


@pytest.fixture
def stage(sandbox: Sandbox, admin: hvac.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    assert admin.is_authenticated()
    openbao = sandbox.openbao
    openbao.write_secret(PATH, {"password": "value-of-the-hygiene-test"})
    secret_id = tmp_path / "secret-id"
    auth = AppRoleAuth(role_id=openbao.role_id, secret_id=FileSource(path=secret_id))
    vault = VaultCredentials(address=openbao.address, ca_file=openbao.ca_file, timeout_seconds=5, auth=auth)

    def references(vault: VaultCredentials) -> dict[str, VaultSecret | VaultDatabaseCredentials | VaultPki]:
        port = sandbox.postgres.port
        return {
            "secret": VaultSecret(vault=vault, path=PATH, field="password"),
            "database": VaultDatabaseCredentials(
                vault=vault, mount=DATABASE, role="reader", host="127.0.0.1", port=port, database="postgres"
            ),
            "pki": VaultPki(vault=vault, mount=PKI, role="client", common_name="run.example.org", ttl_seconds=300),
        }

    needs = [vault.capabilities(), *(one.capabilities() for one in references(vault).values())]
    openbao.write_policy("hygiene", policy(needs))
    role = openbao.issue_app_role("hygiene", policy="hygiene", token_ttl_seconds=120, secret_id_ttl_seconds=600)
    secret_id.write_text(role.secret_id.get_secret_value())
    vault = vault.model_copy(update={"auth": AppRoleAuth(role_id=role.role_id, secret_id=FileSource(path=secret_id))})
    for name, reference in references(vault).items():
        (tmp_path / name).write_text(reference.model_dump_json())
    return Stage(sandbox, tmp_path, vault, sandbox.postgres.login_roles(), openbao.accessors())


@pytest.mark.parametrize("how", ["script", "scope", "flow", "tasks"])
@pytest.mark.parametrize(("end", "code"), [("success", 0), ("failure", 1)])
def test_nothing_outlives_a_process_that_ends(stage: Stage, how: str, end: str, code: int) -> None:
    with stage.holder(how, end) as (child, serial):
        assert child.wait(60) == code
        assert stage.is_gone(serial), stage.live(serial)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("how", ["script", "scope", "flow", "flow that imports", "tasks"])
def test_nothing_outlives_a_process_that_is_terminated(stage: Stage, how: str, number: signal.Signals) -> None:
    with stage.holder(how, "wait") as (child, serial):
        assert all(stage.live(serial).values()), "the control: it would be seen"
        child.send_signal(number)
        assert child.wait(20) == -signal.SIGTERM
        assert stage.is_gone(serial), stage.live(serial)


def test_a_second_termination_changes_nothing(stage: Stage) -> None:
    with stage.holder("script", "wait") as (child, serial):
        for _ in range(5):
            child.send_signal(signal.SIGTERM)
            time.sleep(0.01)
        assert child.wait(20) == -signal.SIGTERM
        assert stage.is_gone(serial), stage.live(serial)


def test_a_server_that_hangs_does_not_keep_a_terminated_process(stage: Stage) -> None:
    with stage.holder("script", "wait") as (child, _):
        stage.sandbox.openbao.pause()
        child.send_signal(signal.SIGTERM)
        try:
            assert child.wait(20) == -signal.SIGTERM
        finally:
            stage.sandbox.openbao.resume()
    _sweep(stage.sweeper())


@pytest.mark.parametrize("how", ["script", "flow"])
def test_what_a_killed_process_held_is_gone_after_one_sweep(stage: Stage, how: str) -> None:
    with stage.holder(how, "wait") as (child, serial):
        child.kill()
        child.wait(10)
        assert all(stage.live(serial).values()), "nobody could end it"
        report = _sweep(stage.sweeper())
        assert {lease.outcome for lease in report.leases} == {SweepOutcome.REVOKED}
        assert [lease.kind.value for lease in report.leases] == ["certificate", "secret", "token"]
        assert stage.is_gone(serial), stage.live(serial)


def test_a_sweep_says_of_each_kind_whether_it_was_dead_or_is_unknown(stage: Stage, admin: hvac.Client) -> None:
    with stage.holder("script", "wait") as (child, serial):
        child.kill()
        child.wait(10)
        (token,) = stage.sandbox.openbao.accessors() - stage.tokens
    login, kinds = stage.sweeper(), ["certificate", "secret", "token"]
    stage.sandbox.openbao.pause()
    try:
        unknown = _sweep(login)
    finally:
        stage.sandbox.openbao.resume()
    assert [(lease.kind, lease.outcome) for lease in unknown.leases] == [(kind, SweepOutcome.FAILED) for kind in kinds]
    admin.write_data(f"{PKI}/revoke", data={"serial_number": serial})
    admin.auth.token.revoke_accessor(token)
    dead = _sweep(login)
    assert [(lease.kind, lease.outcome) for lease in dead.leases] == [(kind, SweepOutcome.GONE) for kind in kinds]


def _sweep(login: VaultCredentials) -> SweepReport:
    with credential_scope():
        return sweep(current_scope().ledger(), [login])


def test_leases_end_before_their_token(stage: Stage) -> None:
    seen = len(stage.sandbox.openbao.requests())
    with stage.holder("script", "success") as (child, _):
        assert child.wait(60) == 0
    paths = [request.path for request in stage.sandbox.openbao.requests()[seen:]]
    ending = [path for path in paths if "revoke" in path]
    assert ending == [f"{PKI}/revoke", "sys/leases/revoke", "auth/token/revoke-self"]


@pytest.fixture
def saved_block(stage: Stage, run_in_prefect: Callable[..., str]) -> str:
    save = f"""
        from blocks.vault import VaultCredentials, VaultSecret
        vault = VaultCredentials.model_validate_json({stage.vault.model_dump_json()!r})
        vault.save("hygiene", overwrite=True)
        VaultSecret(vault=vault, path={PATH!r}, field="password").save("hygiene", overwrite=True)
    """
    return run_in_prefect(save)


@pytest.fixture
def run_in_prefect(stage: Stage) -> Callable[..., str]:
    """Runs a program as a client of the sandbox's Prefect server."""

    def run(program: str) -> str:
        with stage.run("-c", dedent(program)) as child:
            out, _ = child.communicate(timeout=120)
            assert child.returncode == 0
            return out.strip()

    return run


@pytest.mark.usefixtures("saved_block")
def test_a_hundred_tasks_of_a_flow_make_one_login_and_one_read(
    stage: Stage, run_in_prefect: Callable[..., str]
) -> None:
    seen = len(stage.sandbox.openbao.requests())
    assert run_in_prefect(LOAD % TASKS) == str(TASKS * len("value-of-the-hygiene-test"))
    asked = [request.path for request in stage.sandbox.openbao.requests()[seen:]]
    assert asked.count("auth/approle/login") == 1
    assert asked.count(f"secret/data/{PATH}") == 1
    assert stage.sandbox.openbao.accessors() - stage.tokens == frozenset()
