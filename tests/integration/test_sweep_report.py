"""What a sweep reports after a morning of runs: what it had to revoke, once, and nothing of runs that ended well."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from holdtrue.adapters.ledger import database, open_ledger
from holdtrue.adapters.ledger.ledger import SqlLedger
from holdtrue.core.render_sweep import sweep_lines
from holdtrue.credentials.aws import AssumedRole, KvAwsKeys, VaultAwsCredentials
from holdtrue.credentials.logins import AppRoleAuth
from holdtrue.credentials.scope import RunLabel, credential_scope, current_scope
from holdtrue.credentials.sources import FileSource
from holdtrue.credentials.ssh import VaultSshCertificates
from holdtrue.credentials.sweep import sweep
from holdtrue.credentials.vault import VaultCredentials
from holdtrue.models.lease import Holding, LeaseKind, LeaseState
from holdtrue.models.sweep import SweepOutcome, SweepReport
from sandbox import Sandbox
from sandbox.openbao import AppRole
from tasks.conclusions import SWEEP
from tests.integration.lease_rows import all_leases

ROLE = "sweep-report-test"
ORDINARY_RUNS = 12

HOLD = """
    import sys, time
    from holdtrue.credentials.aws import VaultAwsCredentials
    from holdtrue.credentials.scope import RunLabel, credential_scope
    from holdtrue.credentials.ssh import VaultSshCertificates

    ssh, aws = sys.argv[1:]
    with credential_scope(RunLabel("id-of-killed", "killed", "provision")):
        certificates = VaultSshCertificates.model_validate_json(ssh)
        certificates.issue()
        VaultAwsCredentials.model_validate_json(aws).environment()
        print(certificates.vault.connect().session().accessor, flush=True)
        time.sleep(120)
"""

LOCKED_AT_ITS_END = """
    import sqlite3, sys
    from holdtrue.adapters.ledger import database
    from holdtrue.credentials.aws import VaultAwsCredentials
    from holdtrue.credentials.scope import RunLabel, credential_scope
    from holdtrue.credentials.ssh import VaultSshCertificates

    database._WAIT_SECONDS = 0.3
    ssh, aws, ledger = sys.argv[1:]
    with credential_scope(RunLabel("id-of-locked", "locked", "provision")):
        certificates = VaultSshCertificates.model_validate_json(ssh)
        certificates.issue()
        VaultAwsCredentials.model_validate_json(aws).environment()
        print(certificates.vault.connect().session().accessor, flush=True)
        locking = sqlite3.connect(ledger, isolation_level=None)
        locking.execute("BEGIN IMMEDIATE")
"""

SWEEP_KILLED_BEFORE_IT_SETTLES = """
    import os, signal, sys
    from holdtrue.adapters.ledger.ledger import SqlLedger
    from holdtrue.credentials.scope import credential_scope, current_scope
    from holdtrue.credentials.sweep import sweep
    from holdtrue.credentials.vault import VaultCredentials
    from holdtrue.models.lease import LeaseState

    settle = SqlLedger.settle

    def settle_or_die(self, lease_id, state):
        if state is LeaseState.REVOKED:
            os.kill(os.getpid(), signal.SIGKILL)
        return settle(self, lease_id, state)

    SqlLedger.settle = settle_or_die
    with credential_scope():
        sweep(current_scope().ledger(), [VaultCredentials.model_validate_json(sys.argv[1])])
"""


@dataclass(frozen=True, slots=True)
class Morning:
    """What runs hold, and the login that may end it."""

    sandbox: Sandbox
    ssh: VaultSshCertificates
    aws: VaultAwsCredentials
    sweeper: VaultCredentials
    alive: frozenset[str]

    def ordinary_run(self, name: str) -> None:
        """A run that ends as it should."""
        with credential_scope(RunLabel(f"id-of-{name}", name, "provision")):
            self.ssh.issue()
            self.aws.environment()

    def killed_run(self) -> str:
        """A run that is killed; returns the accessor of its token, which lives."""
        with self.child(HOLD, self.ssh.model_dump_json(), self.aws.model_dump_json()) as child:
            assert child.stdout is not None
            accessor = child.stdout.readline().strip()
            child.kill()
        assert accessor in self.left()
        return accessor

    def killed_sweep(self) -> None:
        """A sweep that dies after it has revoked and before it notes that."""
        with self.child(SWEEP_KILLED_BEFORE_IT_SETTLES, self.sweeper.model_dump_json()) as child:
            assert child.wait(60) == -signal.SIGKILL

    def sweep(self) -> SweepReport:
        with credential_scope():
            return sweep(current_scope().ledger(), [self.sweeper])

    def left(self) -> frozenset[str]:
        """Tokens that live now and did not when the test began."""
        return self.sandbox.openbao.accessors() - self.alive

    def child(self, program: str, *arguments: str) -> "subprocess.Popen[str]":
        """A process of its own with the ledger of this test."""
        environment = {"PATH": "/usr/bin:/bin", "HOLDTRUE_LEDGER_URL": os.environ["HOLDTRUE_LEDGER_URL"]}
        command = (sys.executable, "-c", dedent(program), *arguments)
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)


@pytest.fixture(scope="module", autouse=True)
def _role(sandbox: Sandbox) -> None:
    trusted = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    policy = {"Version": "2012-10-17", "Statement": [trusted]}
    sandbox.aws.client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(policy))


@pytest.fixture
def morning(clean_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Morning:
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    openbao, aws = clean_sandbox.openbao, clean_sandbox.aws

    def login(name: str, role_id: str, secret_id: SecretStr) -> VaultCredentials:
        file = tmp_path / f"{name}.secret-id"
        file.write_text(secret_id.get_secret_value())
        auth = AppRoleAuth(role_id=role_id, secret_id=FileSource(path=file))
        return VaultCredentials(address=openbao.address, ca_file=openbao.ca_file, timeout_seconds=3, auth=auth)

    sweep_role: AppRole = openbao.sweep_role
    vault = login("runs", openbao.role_id, openbao.secret_id)
    arn = f"arn:aws:iam::123456789012:role/{ROLE}"
    source = AssumedRole(role_arn=arn, duration_seconds=900, identity=KvAwsKeys(path="holdtrue/aws"))
    return Morning(
        sandbox=clean_sandbox,
        ssh=VaultSshCertificates(
            vault=vault, role="deploy", principals=("deploy",), ttl_seconds=600, host_ca_mount="ssh-host"
        ),
        aws=VaultAwsCredentials(vault=vault, region=aws.region, endpoint_url=aws.endpoint_url, source=source),
        sweeper=login("sweeper", sweep_role.role_id, sweep_role.secret_id),
        alive=openbao.accessors(),
    )


def states() -> dict[LeaseKind, set[LeaseState]]:
    """The states of all that the ledger has, by kind."""
    found: dict[LeaseKind, set[LeaseState]] = {}
    for lease in all_leases():
        assert lease.expires_at is not None
        found.setdefault(lease.kind, set()).add(lease.state)
    return found


def rows(sections: str) -> list[str]:
    """The rows of the table without its head."""
    return [line for line in sections.splitlines() if line.startswith("|")][2:]


def test_a_morning_of_runs_of_which_one_was_killed_is_a_report_of_one_row(morning: Morning) -> None:
    names = [f"ordinary-{number}" for number in range(ORDINARY_RUNS)]
    for name in names[:6]:
        morning.ordinary_run(name)
    accessor = morning.killed_run()
    for name in names[6:]:
        morning.ordinary_run(name)
    (left,) = open_ledger(os.environ["HOLDTRUE_LEDGER_URL"]).unsettled()
    assert left.holder.run == "id-of-killed", "an ordinary run leaves nothing to a sweep"

    report = morning.sweep()
    conclusion = SWEEP.conclude(report)
    sections = conclusion.sections.replace("\\", "")
    (row,) = rows(sections)
    assert row.startswith("| revoked ")
    assert accessor in row
    (rest,) = [line for line in sections.splitlines() if "ssh-certificate" in line]
    assert "1 ssh-certificate" in rest
    assert "1 aws-session" in rest
    assert "killed" in rest
    assert not [name for name in names if name in sections]
    assert len(sweep_lines(report)) == 2
    assert (conclusion.state_name, report.dead_runs) == ("Swept", 1)
    assert morning.left() == frozenset()

    again = morning.sweep()
    conclusion = SWEEP.conclude(again)
    assert (conclusion.state_name, again.leases, again.dead_runs) == ("NothingLeft", (), 0)
    assert rows(conclusion.sections) == []
    assert sweep_lines(again) == ()
    assert states() == {
        LeaseKind.TOKEN: {LeaseState.REVOKED},
        LeaseKind.SSH_CERTIFICATE: {LeaseState.LEFT},
        LeaseKind.AWS_SESSION: {LeaseState.LEFT},
    }


def test_what_a_killed_sweep_revoked_is_told_by_the_next_one(morning: Morning) -> None:
    accessor = morning.killed_run()
    morning.killed_sweep()
    assert accessor not in morning.left()
    report = morning.sweep()
    assert {lease.outcome for lease in report.leases if lease.reference == accessor} == {SweepOutcome.GONE}
    (told,) = [line for line in sweep_lines(report) if "killed" in line and "ended before" in line]
    assert "1 token" in told
    assert morning.sweep().of(SweepOutcome.GONE) == ()


class LockedOnceRead(SqlLedger):
    """A SQLite ledger that somebody locks after it was read."""

    def __init__(self, engine: Engine, locking: sqlite3.Connection) -> None:
        super().__init__(engine)
        self._locking = locking

    def unsettled(self) -> tuple[Holding, ...]:
        found = super().unsettled()
        self._locking.execute("BEGIN IMMEDIATE")
        return found


def test_what_a_sweep_revoked_is_told_when_the_ledger_is_locked_meanwhile(
    morning: Morning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accessor = morning.killed_run()
    monkeypatch.setattr(database, "_WAIT_SECONDS", 0.3)
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as locking, credential_scope():
        morning.sweeper.connect().session()
        report = sweep(LockedOnceRead(database.connect(os.environ["HOLDTRUE_LEDGER_URL"]), locking), [morning.sweeper])
        locking.execute("ROLLBACK")
    assert [lease.reference for lease in report.of(SweepOutcome.REVOKED)] == [accessor]
    assert report.ledger_failure
    assert morning.left() == frozenset()
    after = morning.sweep()
    assert [lease.reference for lease in after.of(SweepOutcome.GONE)] == [accessor]
    assert morning.sweep().leases == ()


def test_a_run_whose_ledger_is_locked_at_its_end_leaves_nothing_alive(morning: Morning, tmp_path: Path) -> None:
    arguments = (morning.ssh.model_dump_json(), morning.aws.model_dump_json(), str(tmp_path / "ledger.db"))
    with morning.child(LOCKED_AT_ITS_END, *arguments) as child:
        accessor, warnings = child.communicate(timeout=60)
    assert child.returncode == 0, warnings
    assert morning.left() == frozenset()
    assert "could not record in the ledger" in warnings
    assert "could not revoke" not in warnings, "it was revoked"
    report = morning.sweep()
    assert [lease.reference for lease in report.of(SweepOutcome.GONE)] == [accessor.strip()]
    assert len(report.of(SweepOutcome.IRREVOCABLE)) == 2
    assert SWEEP.conclude(report).state_name == "NothingLeft"
    assert morning.sweep().leases == ()
