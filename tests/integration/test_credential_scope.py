"""What a run holds: asked for once, renewed, replaced when dead, and gone with the run, whatever becomes of it."""

import contextvars
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from textwrap import dedent

import pytest
from pydantic import SecretStr

from blocks.vault import VaultCredentials as VaultBlock
from holdtrue.adapters.ledger import database, open_ledger
from holdtrue.adapters.ledger.ledger import SqlLedger
from holdtrue.adapters.ledger.tables import HOLDERS, LEASES
from holdtrue.credentials import entry
from holdtrue.credentials import scope as scopes
from holdtrue.credentials.entry import SILENCE_SECONDS
from holdtrue.credentials.holding import requested
from holdtrue.credentials.logins import AppRoleAuth, TokenAuth, UserpassAuth
from holdtrue.credentials.scope import CredentialScope, RunLabel, credential_scope, current_scope
from holdtrue.credentials.sources import EnvironmentSource, FileSource, WrappedSource
from holdtrue.credentials.sweep import LOST_HOURS, sweep
from holdtrue.credentials.transit import VaultTransit
from holdtrue.credentials.vault import VaultCredentials, VaultSecret
from holdtrue.errors import AccessDenied, RejectedError, ServiceUnreachable
from holdtrue.models.lease import LeaseKind, LeaseLedger, LeaseState
from holdtrue.models.sweep import SweepOutcome, SweepReport
from sandbox import Sandbox
from tasks.conclusions import SWEEP
from tests.integration.lease_rows import all_leases
from tests.integration.vault_relay import Fault, vault_relay
from tests.long_form import long_form

PATH = "holdtrue/scope-test"
VALUE = "value-of-the-scope-test"


@dataclass(frozen=True, slots=True)
class Place:
    """One Vault as this module sees it, and what it was asked since the test began."""

    sandbox: Sandbox
    folder: Path
    seen: int
    alive: frozenset[str]

    def vault(
        self, name: str = "scope-test", *, ttl_seconds: int = 300, max_ttl_seconds: int = 600
    ) -> VaultCredentials:
        """A login whose secret id is in a file."""
        openbao = self.sandbox.openbao
        openbao.client().auth.approle.create_or_update_approle(
            name,
            token_policies=["holdtrue"],
            token_no_default_policy=True,
            token_ttl=f"{ttl_seconds}s",
            token_max_ttl=f"{max_ttl_seconds}s",
        )
        approle = openbao.client().auth.approle
        file = self.folder / f"{name}.secret-id"
        file.write_text(approle.generate_secret_id(name)["data"]["secret_id"])
        auth = AppRoleAuth(role_id=approle.read_role_id(name)["data"]["role_id"], secret_id=FileSource(path=file))
        return VaultCredentials(address=openbao.address, ca_file=openbao.ca_file, timeout_seconds=3, auth=auth)

    def secret(self, vault: VaultCredentials) -> VaultSecret:
        return VaultSecret(vault=vault, path=PATH, field="password")

    def asked(self, path: str) -> int:
        """How often the server was asked for this path in this test."""
        return [request.path for request in self.sandbox.openbao.requests()[self.seen :]].count(path)

    def left(self) -> frozenset[str]:
        """Tokens that live now and did not when the test began."""
        return self.sandbox.openbao.accessors() - self.alive

    def ledger(self) -> LeaseLedger:
        return open_ledger(os.environ["HOLDTRUE_LEDGER_URL"])

    def sweeper(self) -> VaultCredentials:
        openbao = self.sandbox.openbao
        file = self.folder / "sweeper.secret-id"
        file.write_text(openbao.sweep_role.secret_id.get_secret_value())
        auth = AppRoleAuth(role_id=openbao.sweep_role.role_id, secret_id=FileSource(path=file))
        return VaultCredentials(address=openbao.address, ca_file=openbao.ca_file, timeout_seconds=3, auth=auth)


@pytest.fixture
def place(clean_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    clean_sandbox.openbao.write_secret(PATH, {"password": VALUE, "other": "kept-as-it-is"})
    openbao = clean_sandbox.openbao
    return Place(clean_sandbox, tmp_path, len(openbao.requests()), openbao.accessors())


# Asked for once


def test_a_hundred_threads_make_one_login_and_one_read(place: Place) -> None:
    secret = place.secret(place.vault())
    with credential_scope(), ThreadPoolExecutor(100) as pool:
        contexts = [contextvars.copy_context() for _ in range(100)]
        values = [pool.submit(context.run, secret.get) for context in contexts]
        assert {value.result().get_secret_value() for value in values} == {VALUE}
    assert place.asked("auth/approle/login") == 1
    assert place.asked(f"secret/data/{PATH}") == 1
    assert place.left() == frozenset()


def test_a_hundred_threads_make_one_login_that_fails(place: Place) -> None:
    vault = place.vault()
    assert isinstance(vault.auth, AppRoleAuth)
    assert isinstance(vault.auth.secret_id, FileSource)
    vault.auth.secret_id.path.write_text("not-the-secret-id")
    with credential_scope(), ThreadPoolExecutor(100) as pool:
        contexts = [contextvars.copy_context() for _ in range(100)]
        values = [pool.submit(context.run, place.secret(vault).get) for context in contexts]
        assert {type(value.exception()) for value in values} == {AccessDenied}
    assert place.asked("auth/approle/login") < 20, "each waiting thread tried by itself"


def test_scopes_nest_and_different_identities_log_in_by_themselves(place: Place) -> None:
    one, other = place.vault("scope-one"), place.vault("scope-other")
    with credential_scope() as outer:
        place.secret(one).get()
        with credential_scope() as inner:
            assert inner is outer
            place.secret(other).get()
        assert len(place.left()) == 2
    assert place.left() == frozenset()


def test_a_written_field_is_read_back_and_the_others_stay(place: Place) -> None:
    place.sandbox.openbao.write_policy(
        "scope-write", f'path "secret/data/{PATH}" {{ capabilities = ["create", "read", "update"] }}'
    )
    token = place.sandbox.openbao.issue_token(policy="scope-write", ttl_seconds=60)
    auth = TokenAuth(source=EnvironmentSource(variable="SCOPE_TEST_TOKEN"))
    vault = place.vault().model_copy(update={"auth": auth})
    secret = place.secret(vault)
    with pytest.MonkeyPatch.context() as patch, credential_scope():
        patch.setenv("SCOPE_TEST_TOKEN", token.get_secret_value())
        with pytest.raises(AccessDenied):  # The policy lacks lookup-self, which adopting a token needs.
            secret.get()
    place.sandbox.openbao.write_policy(
        "scope-write",
        f'path "secret/data/{PATH}" {{ capabilities = ["create", "read", "update"] }}\n'
        'path "auth/token/lookup-self" { capabilities = ["read"] }',
    )
    with pytest.MonkeyPatch.context() as patch, credential_scope():
        patch.setenv("SCOPE_TEST_TOKEN", token.get_secret_value())
        assert secret.get().get_secret_value() == VALUE
        version = secret.set(SecretStr("a-new-value-of-it"))
        assert secret.get().get_secret_value() == "a-new-value-of-it"
        assert secret.model_copy(update={"field": "other"}).get().get_secret_value() == "kept-as-it-is"
        with pytest.raises(RejectedError, match="check-and-set"):
            secret.set(SecretStr("too-late-for-this"), cas=version - 1)
    assert place.sandbox.openbao.client().lookup_token(token.get_secret_value()), "a token of others was revoked"


# Renewed, and replaced


@pytest.mark.soak
def test_a_token_is_renewed_before_it_ends(place: Place) -> None:
    ttl_seconds, held_seconds = 3, long_form(5, 600)
    vault = place.vault(ttl_seconds=ttl_seconds, max_ttl_seconds=held_seconds + 60)
    with credential_scope():
        session = vault.connect().session()
        time.sleep(held_seconds)
        assert session.is_alive()
        place.secret(vault).get()
    assert place.asked("auth/approle/login") == 1
    assert place.asked("auth/token/renew-self") > held_seconds // ttl_seconds
    assert place.left() == frozenset()


def test_a_token_at_its_maximum_is_replaced(place: Place) -> None:
    vault = place.vault(ttl_seconds=2, max_ttl_seconds=3)
    with credential_scope():
        first = vault.connect().session()
        time.sleep(4)
        assert vault.connect().session() is not first
        place.secret(vault).get()
    assert place.asked("auth/approle/login") == 2
    assert place.left() == frozenset()


def test_a_revoked_token_is_replaced_once(place: Place) -> None:
    vault = place.vault()
    with credential_scope():
        accessor = vault.connect().session().accessor
        place.sandbox.openbao.client().auth.token.revoke_accessor(accessor)
        assert place.secret(vault).get().get_secret_value() == VALUE
    assert place.asked("auth/approle/login") == 2
    assert place.left() == frozenset()


def test_what_the_policy_lacks_is_refused_without_another_login(place: Place) -> None:
    secret = place.secret(place.vault()).model_copy(update={"path": "outside/of/it"})
    with credential_scope(), pytest.raises(AccessDenied, match="secret/data/outside/of/it"):
        secret.get()
    assert place.asked("auth/approle/login") == 1


# Gone with the run


@pytest.mark.parametrize("end", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_everything_ends_in_reverse_order_whatever_ends_the_run(place: Place, end: type[BaseException]) -> None:
    one, other = place.vault("scope-one"), place.vault("scope-other")
    with pytest.raises(end), credential_scope(RunLabel("run-id", "run-name", "flow")) as scope:  # noqa: PT012
        sessions = (one.connect().session(), other.connect().session())
        assert all(session.is_alive() for session in sessions)
        first, second = (session.accessor for session in sessions)
        (holding,) = place.ledger().unsettled()
        assert (holding.holder.run, holding.holder.flow) == ("run-id", "flow")
        assert [lease.reference for lease in holding.leases] == [first, second]
        assert {lease.state for lease in holding.leases} == {LeaseState.HELD}
        assert all(lease.expires_at and lease.expires_at > datetime.now(UTC) for lease in holding.leases)
        raise end
    assert place.left() == frozenset()
    assert place.ledger().unsettled() == ()
    asked = [request for request in place.sandbox.openbao.requests()[place.seen :] if request.accessor]
    looked = [request.accessor for request in asked if request.path.endswith("lookup-self")]
    revoked = [request.accessor for request in asked if request.path.endswith("revoke-self")]
    assert len(set(looked)) == 2
    assert revoked == looked[::-1]
    assert scope.run.name == "run-name"


def test_a_login_that_the_ledger_cannot_note_is_not_made(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", "sqlite:////proc/no/ledger.db")
    with credential_scope(), pytest.raises(AccessDenied, match="HOLDTRUE_LEDGER_URL"):
        place.secret(place.vault()).get()
    assert place.asked("auth/approle/login") == 0


def test_what_cannot_be_revoked_is_left_to_the_sweep(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    vault = place.vault()
    with credential_scope():
        accessor = vault.connect().session().accessor
        place.sandbox.openbao.stop()
    place.sandbox.openbao.start()
    assert accessor in caplog.text
    (holding,) = place.ledger().unsettled()
    assert holding.holder.closed_at is not None
    with credential_scope():
        report = sweep(current_scope().ledger(), [place.sweeper()])
    assert [(lease.outcome, lease.reference) for lease in report.leases] == [(SweepOutcome.REVOKED, accessor)]
    assert place.left() == frozenset()


def test_an_ssh_certificate_is_left_to_its_own_end(place: Place) -> None:
    from holdtrue.credentials.ssh import VaultSshCertificates  # noqa: PLC0415 - beside its one use

    ssh = VaultSshCertificates(
        vault=place.vault(), role="deploy", principals=("deploy",), ttl_seconds=60, host_ca_mount="ssh-host"
    )
    with credential_scope():
        ssh.issue()
    assert place.ledger().unsettled() == ()
    (certificate,) = [lease for lease in all_leases() if lease.kind is LeaseKind.SSH_CERTIFICATE]
    assert certificate.state is LeaseState.LEFT
    assert certificate.expires_at is not None
    assert certificate.expires_at > datetime.now(UTC)
    with credential_scope():
        assert sweep(current_scope().ledger(), [place.sweeper()]).leases == ()


def test_transit_keeps_what_must_be_stored(place: Place) -> None:
    with credential_scope():
        key = VaultTransit(vault=place.vault(), key="pulumi")
        stored = key.encrypt(SecretStr("what must be stored"))
        assert stored.startswith("vault:v1:")
        assert key.decrypt(stored).get_secret_value() == "what must be stored"
        assert key.secrets_provider == "hashivault://pulumi"


def test_what_was_remembered_is_fetched_anew_after_another_login(place: Place) -> None:
    vault = place.vault()
    with credential_scope():
        shared = vault.connect()
        accessor = shared.session().accessor
        first: object = shared.remember("key", lambda _: True, object)
        assert shared.remember("key", lambda _: True, object) is first
        place.sandbox.openbao.client().auth.token.revoke_accessor(accessor)
        place.secret(vault).get()
        assert shared.remember("key", lambda _: True, object) is not first


def test_a_block_logs_in_by_a_password_in_a_wrapping_token(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = place.sandbox.openbao.client()
    admin.sys.enable_auth_method("userpass", path="scope-userpass")
    admin.auth.userpass.create_or_update_user(
        "bob", "password-of-bob", policies="holdtrue", mount_point="scope-userpass"
    )
    auth = UserpassAuth(
        username="bob", mount="scope-userpass", password=WrappedSource(token=EnvironmentSource(variable="WRAPPED"))
    )
    openbao = place.sandbox.openbao
    block = VaultBlock(address=openbao.address, ca_file=openbao.ca_file, timeout_seconds=3, auth=auth)
    monkeypatch.setenv("WRAPPED", admin.sys.wrap({"password": "password-of-bob"}, ttl=1)["wrap_info"]["token"])
    time.sleep(1.5)
    with credential_scope(), pytest.raises(AccessDenied, match="wrapping token is not valid"):
        block.connect().session()
    monkeypatch.setenv("WRAPPED", admin.sys.wrap({"password": "password-of-bob"}, ttl=60)["wrap_info"]["token"])
    with credential_scope():
        block.connect().session()
        assert block.connect().read_secret("secret", PATH)["password"].get_secret_value() == VALUE
    assert place.left() == frozenset()
    admin.sys.disable_auth_method("scope-userpass")


# Over


def test_whoever_works_on_after_the_end_obtains_nothing(place: Place) -> None:
    vault, other = place.vault("scope-one"), place.vault("scope-other")
    with credential_scope():
        place.secret(vault).get()
        later = contextvars.copy_context()
    asked = place.asked("auth/approle/login")
    for call in (
        lambda: vault.connect().call(lambda session: session.read_secret("secret", PATH)),
        lambda: other.connect().session(),
    ):
        with pytest.raises(RejectedError, match="over"):
            later.run(call)
    assert place.asked("auth/approle/login") == asked
    assert place.left() == frozenset()


def test_a_login_that_is_under_way_at_the_end_is_ended_when_it_comes(place: Place) -> None:
    vault = place.vault()
    outcome: list[BaseException] = []
    granted, may_go_on = threading.Event(), threading.Event()

    def keep_late(holding: object) -> None:
        granted.set()
        assert may_go_on.wait(10)
        keep(holding)  # type: ignore[arg-type]

    def work() -> None:
        try:
            vault.connect().session()
        except RejectedError as error:
            outcome.append(error)

    with credential_scope() as scope, pytest.MonkeyPatch.context() as patch:
        keep = scope.keep
        patch.setattr(scope, "keep", keep_late)
        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
        thread.start()
        assert granted.wait(10)
    assert len(place.left()) == 1
    may_go_on.set()
    thread.join(10)
    assert len(outcome) == 1
    assert place.left() == frozenset()
    assert place.ledger().unsettled() == ()


def test_a_token_that_may_not_be_asked_about_counts_as_alive(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    vault = place.vault()
    place.sandbox.openbao.write_policy("scope-mute", f'path "secret/data/{PATH}" {{ capabilities = ["read"] }}')
    place.sandbox.openbao.client().auth.approle.create_or_update_approle("scope-test", token_policies=["scope-mute"])
    with credential_scope():
        place.secret(vault).get()
    (accessor,) = place.left()
    assert accessor in caplog.text
    ((lease,),) = (found.leases for found in place.ledger().unsettled())
    assert (lease.reference, lease.state) == (accessor, LeaseState.HELD)
    with credential_scope():
        (swept,) = sweep(current_scope().ledger(), [place.sweeper()]).leases
    assert swept.outcome is SweepOutcome.REVOKED
    assert place.left() == frozenset()


def test_a_token_past_its_end_is_over_without_being_asked_about(place: Place) -> None:
    vault = place.vault(ttl_seconds=1, max_ttl_seconds=1)
    with credential_scope():
        vault.connect().session()
        time.sleep(1.2)
    assert place.ledger().unsettled() == ()


def test_a_login_whose_answer_is_lost_is_told_of_as_long_as_its_token_may_live(place: Place) -> None:
    vault = place.vault()
    with vault_relay(place.sandbox.openbao.address, place.sandbox.openbao.ca_file) as relay:
        relay.faults["auth/approle/login"] = Fault.LOSE
        impatient = vault.model_copy(update={"address": relay.address, "ca_file": None, "timeout_seconds": 1})
        with credential_scope(), pytest.raises(ServiceUnreachable):
            impatient.connect().session()
    assert len(place.left()) == 1, "the token that nobody got"
    for _ in range(2):
        with credential_scope():
            report = sweep(current_scope().ledger(), [place.sweeper()])
        assert [(told.outcome, told.reference) for told in report.leases] == [(SweepOutcome.LOST, "")]
        conclusion = SWEEP.conclude(report)
        assert (conclusion.state_name, conclusion.is_good) == ("Incomplete", False)
    long_ago = datetime.now(UTC) - timedelta(hours=LOST_HOURS + 1)
    with database.connect(os.environ["HOLDTRUE_LEDGER_URL"]).begin() as connection:
        connection.execute(LEASES.update().values(requested_at=long_ago))
    for left in (1, 0):
        with credential_scope():
            assert len(sweep(current_scope().ledger(), [place.sweeper()]).leases) == left


def test_a_login_that_never_reached_the_server_left_nothing(place: Place) -> None:
    vault = place.vault()
    place.sandbox.openbao.stop()
    with credential_scope(), pytest.raises(ServiceUnreachable):
        vault.connect().session()
    place.sandbox.openbao.start()
    place.sandbox.openbao.pause()
    with credential_scope(), pytest.raises(ServiceUnreachable):
        vault.connect().session()
    place.sandbox.openbao.resume()
    assert place.ledger().unsettled() == ()
    time.sleep(0.5)
    assert place.left() == frozenset()


def test_a_batch_token_is_not_used_and_named_with_its_end(place: Place) -> None:
    vault = place.vault()
    place.sandbox.openbao.client().write_data("auth/approle/role/scope-test", data={"token_type": "batch"})
    with credential_scope(), pytest.raises(RejectedError, match="batch"):
        place.secret(vault).get()
    place.sandbox.openbao.client().write_data("auth/approle/role/scope-test", data={"token_type": "service"})
    with credential_scope():
        (swept,) = sweep(current_scope().ledger(), [place.sweeper()]).leases
    assert (swept.outcome, swept.kind) == (SweepOutcome.IRREVOCABLE, LeaseKind.TOKEN)
    assert swept.expires_at is not None
    assert 200 < (swept.expires_at - datetime.now(UTC)).total_seconds() <= 300
    with credential_scope():
        assert sweep(current_scope().ledger(), [place.sweeper()]).leases == (), "it is named once"


def test_a_field_is_written_upon_a_version_that_was_deleted(place: Place) -> None:
    place.sandbox.openbao.write_policy(
        "holdtrue-scope-write",
        f'path "secret/data/{PATH}" {{ capabilities = ["create", "read", "update"] }}\n'
        'path "auth/token/revoke-self" { capabilities = ["update"] }',
    )
    vault = place.vault()
    place.sandbox.openbao.client().auth.approle.create_or_update_approle(
        "scope-test", token_policies=["holdtrue-scope-write"]
    )
    kv = place.sandbox.openbao.client().secrets.kv.v2
    kv.delete_latest_version_of_secret(PATH, mount_point="secret")
    with credential_scope():
        secret = place.secret(vault)
        version = secret.set(SecretStr("written-upon-a-deleted-one"))
        assert secret.get().get_secret_value() == "written-upon-a-deleted-one"
        assert secret.model_copy(update={"path": f"{PATH}-new"}).vault == vault
    assert version > 1
    assert place.left() == frozenset()


# Seen from another machine


def elsewhere(*, silent_seconds: float) -> None:
    """Make the runs in the ledger those of another machine, which last beat so long ago."""
    with database.connect(os.environ["HOLDTRUE_LEDGER_URL"]).begin() as connection:
        beat_at = datetime.now(UTC) - timedelta(seconds=silent_seconds)
        connection.execute(HOLDERS.update().values(machine="another-boot/pid:[1]", beat_at=beat_at))


def sweep_beside(place: Place) -> list[tuple[SweepOutcome, str]]:
    """A sweep in a scope of its own, beside the one that the caller is in."""

    def work() -> SweepReport:
        with credential_scope():
            return sweep(place.ledger(), [place.sweeper()])

    with ThreadPoolExecutor(1) as pool:
        report = pool.submit(work).result()
    return [(lease.outcome, lease.reference) for lease in report.leases]


def test_a_worker_whose_clock_is_wrong_lives(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Late":
            return cls.fromtimestamp(time.time() - 3600, tz=tz)

    monkeypatch.setattr(scopes, "datetime", Late)
    with credential_scope() as scope:
        accessor = place.vault().connect().session().accessor
        with database.connect(os.environ["HOLDTRUE_LEDGER_URL"]).begin() as connection:
            connection.execute(HOLDERS.update().values(machine="another-boot/pid:[1]"))
        place.ledger().beat(scope.holder)
        assert sweep_beside(place) == []
        assert place.left() == {accessor}


def test_a_run_that_only_seemed_dead_goes_on_when_it_is_back(place: Place) -> None:
    vault = place.vault()
    with credential_scope() as scope:
        first = vault.connect().session().accessor
        elsewhere(silent_seconds=SILENCE_SECONDS + 5)
        assert sweep_beside(place) == [(SweepOutcome.REVOKED, first)]
        place.ledger().beat(scope.holder)
        assert place.secret(vault).get().get_secret_value() == VALUE
        (second,) = place.left()
        assert second != first
        assert sweep_beside(place) == []
        assert place.left() == {second}
    assert place.left() == frozenset()


def test_renewals_that_hang_or_fail_do_not_keep_a_run_from_beating(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry, "BEAT_SECONDS", 0.1)
    beats = threading.Semaphore(0)

    def beat(*_: object) -> None:
        beats.release()
        raise ZeroDivisionError

    monkeypatch.setattr(SqlLedger, "beat", beat)
    hung = threading.Event()
    with credential_scope():
        session = place.vault(ttl_seconds=2).connect().session()
        monkeypatch.setattr(session, "renew", lambda _: hung.wait(5))
        for _ in range(20):
            assert beats.acquire(timeout=2)
        hung.set()


def test_a_renewal_that_fails_in_a_new_way_is_not_the_last(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdtrue.adapters.vault import VaultSession  # noqa: PLC0415 - beside its one use

    renew, failures = VaultSession.renew, [ZeroDivisionError("new")]

    def fail_once(self: VaultSession, increment_seconds: int) -> int:
        if failures:
            raise failures.pop()
        return renew(self, increment_seconds)

    monkeypatch.setattr(VaultSession, "renew", fail_once)
    with credential_scope():
        session = place.vault(ttl_seconds=4).connect().session()
        time.sleep(5)
        assert session.is_alive()
    assert failures == []


def test_a_server_that_hangs_does_not_keep_the_sweep_from_others(place: Place) -> None:
    left = place.vault()
    with socket.create_server(("127.0.0.1", 0)) as hung:
        address = f"https://127.0.0.1:{hung.getsockname()[1]}"
        with credential_scope() as scope:
            for number in range(5):
                lease = requested(scope.holder, LeaseKind.TOKEN, server=address, namespace="", path="auth/x/login")
                scope.ledger().request(lease)
                scope.ledger().hold(lease.id, f"accessor-{number}", datetime.now(UTC) + timedelta(hours=1))
            left.connect().session()
            place.sandbox.openbao.stop()
        place.sandbox.openbao.start()
        began = time.monotonic()
        with credential_scope():
            logins = [place.sweeper(), place.sweeper().model_copy(update={"address": address, "timeout_seconds": 2})]
            report = sweep(current_scope().ledger(), logins)
    assert time.monotonic() - began < 2 * 2 + 2
    assert len(report.of(SweepOutcome.FAILED)) == 5
    assert len(report.of(SweepOutcome.REVOKED)) == 1
    assert place.left() == frozenset()


def test_what_stands_before_the_server_proves_nothing(
    place: Place, run_child: Callable[..., tuple[subprocess.Popen[str], str]]
) -> None:
    openbao = place.sandbox.openbao
    with vault_relay(openbao.address, openbao.ca_file) as relay:
        killed, accessor = run_child("scope", place.vault().model_copy(update={"address": relay.address}))
        killed.kill()
        killed.wait(10)
        sweeper = place.sweeper().model_copy(update={"address": relay.address})
        relay.faults["auth/token/lookup-accessor"] = Fault.NOT_FOUND
        with credential_scope():
            (swept,) = sweep(current_scope().ledger(), [sweeper]).leases
        assert (swept.outcome, swept.reference) == (SweepOutcome.FAILED, accessor)
        relay.faults.clear()
        with credential_scope():
            (swept,) = sweep(current_scope().ledger(), [sweeper]).leases
        assert swept.outcome is SweepOutcome.REVOKED
    assert place.left() == frozenset()


# Killed

CHILD = """
    import sys, time
    from pathlib import Path
    from holdtrue.credentials.scope import RunLabel, credential_scope, current_scope
    from holdtrue.credentials.vault import VaultCredentials

    how, document = sys.argv[1:]
    vault = VaultCredentials.model_validate_json(document)
    if how == "scope":
        with credential_scope(RunLabel("killed-run", "killed", "test")):
            print(vault.connect().session().accessor, flush=True)
            time.sleep(60)
    elif how == "scopes":
        while True:
            with credential_scope(RunLabel("killed-run", "killed", "test")):
                print(vault.connect().session().accessor, flush=True)
    else:
        print(vault.connect().session().accessor, flush=True)
        if how == "sleep":
            time.sleep(60)
"""


@pytest.fixture
def run_child(place: Place) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Starts a process that holds a login in the way that is named, and returns it with the token's accessor."""
    children: list[subprocess.Popen[str]] = []

    def start(how: str, vault: VaultCredentials) -> tuple[subprocess.Popen[str], str]:
        child = subprocess.Popen(
            (sys.executable, "-c", dedent(CHILD), how, vault.model_dump_json()),
            env={"PATH": "/usr/bin:/bin", "HOLDTRUE_LEDGER_URL": os.environ["HOLDTRUE_LEDGER_URL"]},
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        assert child.stdout is not None
        return child, child.stdout.readline().strip()

    yield start
    for child in children:
        child.kill()
        child.communicate(timeout=10)
    assert place.folder.is_dir()


def test_a_process_without_a_scope_ends_its_login_when_it_ends(
    place: Place, run_child: Callable[..., tuple[subprocess.Popen[str], str]]
) -> None:
    child, accessor = run_child("exit", place.vault())
    assert child.wait(10) == 0
    assert accessor
    assert place.left() == frozenset()
    assert place.ledger().unsettled() == ()


def test_a_killed_run_is_swept_and_a_live_one_is_not(
    place: Place, run_child: Callable[..., tuple[subprocess.Popen[str], str]]
) -> None:
    vault = place.vault()
    killed, lost = run_child("scope", vault)
    stopped, kept = run_child("scope", vault)
    stopped.send_signal(signal.SIGSTOP)
    killed.kill()
    killed.wait(10)
    assert {lost, kept} <= place.left(), "a killed process cannot revoke"
    with credential_scope():
        report = sweep(current_scope().ledger(), [place.sweeper()])
    assert [(lease.outcome, lease.reference, lease.run) for lease in report.leases] == [
        (SweepOutcome.REVOKED, lost, "killed-run")
    ]
    assert (report.dead_runs, report.live_runs) == (1, 1)
    assert place.left() == {kept}
    stopped.send_signal(signal.SIGCONT)
    with credential_scope():
        assert sweep(current_scope().ledger(), [place.sweeper()]).leases == ()


@pytest.mark.soak
@pytest.mark.expected_service_errors(
    "openbao",
    r"core: failed to (create token|register token lease).*failed to persist .*context canceled",
    "A run is killed while the server answers its login; the client is gone, and the server gives the login up.",
)
def test_a_run_killed_at_any_moment_leaves_nothing_that_a_sweep_does_not_end_or_tell(
    place: Place, run_child: Callable[..., tuple[subprocess.Popen[str], str]]
) -> None:
    vault, seed = place.vault(), random.randrange(1_000_000)  # noqa: S311 - no secret
    pick = random.Random(seed)  # noqa: S311 - the same
    told: set[SweepOutcome] = set()
    for number in range(long_form(4, 200)):
        killed, _ = run_child("scopes", vault)
        # At once the first time: then it holds its first token.
        time.sleep(pick.uniform(0, 0.5) if number else 0)
        killed.kill()
        killed.wait(10)
        with credential_scope():
            report = sweep(current_scope().ledger(), [place.sweeper()])
        told |= {lease.outcome for lease in report.leases}
        message = f"round {number} of seed {seed}: {report}"
        assert told <= {SweepOutcome.REVOKED, SweepOutcome.GONE, SweepOutcome.LOST}, message
        assert len(place.left()) <= len(report.of(SweepOutcome.LOST)), message
        with credential_scope():
            again = sweep(current_scope().ledger(), [place.sweeper()])
        assert again.leases == report.of(SweepOutcome.LOST), message
    assert SweepOutcome.REVOKED in told, "positive control: a killed run leaves a token"


def test_a_sweep_without_a_login_for_the_server_says_so(
    place: Place, run_child: Callable[..., tuple[subprocess.Popen[str], str]]
) -> None:
    killed, accessor = run_child("scope", place.vault())
    killed.kill()
    killed.wait(10)
    with credential_scope():
        (left,) = sweep(current_scope().ledger(), []).leases
    assert left.outcome is SweepOutcome.FAILED
    assert place.left() == {accessor}
    place.sandbox.openbao.pause()
    with credential_scope():
        (left,) = sweep(current_scope().ledger(), [place.sweeper()]).leases
    place.sandbox.openbao.resume()
    assert left.outcome is SweepOutcome.FAILED
    with credential_scope():
        (left,) = sweep(current_scope().ledger(), [place.sweeper()]).leases
    assert left.outcome is SweepOutcome.REVOKED
    assert place.left() == frozenset()


def test_a_forked_child_neither_uses_nor_ends_what_its_parent_holds(place: Place) -> None:
    vault = place.vault()
    with credential_scope() as scope:
        session = vault.connect().session()
        child = os.fork()
        if child == 0:
            os._exit(0 if isinstance(current_scope(), CredentialScope) and current_scope() is not scope else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert session.is_alive()


def test_a_forked_child_that_leaves_the_scope_ends_nothing_of_its_parent(place: Place) -> None:
    vault = place.vault()
    child = 0
    try:
        with credential_scope():
            session = vault.connect().session()
            child = os.fork()
            if child == 0:
                sys.exit()  # Leaves the `with` of the parent, as any error would.
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert session.is_alive()
            assert place.ledger().unsettled()
    except SystemExit:
        os._exit(0)
    assert place.left() == frozenset()


def test_a_server_that_is_away_is_a_transient_error(place: Place) -> None:
    vault = place.vault()
    place.sandbox.openbao.stop()
    with credential_scope(), pytest.raises(ServiceUnreachable):
        place.secret(vault).get()
    place.sandbox.openbao.start()
    with credential_scope():
        assert place.secret(vault).get().get_secret_value() == VALUE
