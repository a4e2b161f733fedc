"""A client certificate for one run, used against a real TLS server that asks for one, and revoked at the run's end."""

import os
import socket
import ssl
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from holdtrue.adapters.ledger import open_ledger
from holdtrue.adapters.vault import login
from holdtrue.adapters.vault.auth import Token
from holdtrue.core.vault_policy import policy
from holdtrue.credentials.logins import AppRoleAuth, TokenAuth
from holdtrue.credentials.pki import VaultPki
from holdtrue.credentials.scope import credential_scope, current_scope
from holdtrue.credentials.sources import EnvironmentSource, FileSource
from holdtrue.credentials.sweep import sweep
from holdtrue.credentials.vault import VaultCredentials
from holdtrue.errors import RejectedError
from holdtrue.models.lease import LeaseKind, LeaseState
from holdtrue.models.sweep import SweepOutcome
from sandbox import Sandbox
from sandbox.certificates import issue_loopback_certificate

MOUNT = "scope-pki"


@pytest.fixture
def pki(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VaultPki:
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.setenv("PKI_TEST_TOKEN", sandbox.openbao.root_token.get_secret_value())
    admin = sandbox.openbao.client()
    if f"{MOUNT}/" not in admin.sys.list_mounted_secrets_engines()["data"]:
        admin.sys.enable_secrets_engine("pki", path=MOUNT)
        root = admin.write_data(f"{MOUNT}/root/generate/internal", data={"common_name": "clients", "ttl": "2h"})
        assert root["data"]["certificate"]
        names = {"allowed_domains": "example.org", "allow_subdomains": True}
        admin.write_data(f"{MOUNT}/roles/client", data=names)
        admin.write_data(f"{MOUNT}/roles/unstored", data=names | {"no_store": True})
        admin.write_data(f"{MOUNT}/roles/short", data=names | {"max_ttl": "60s"})
    vault = VaultCredentials(
        address=sandbox.openbao.address,
        ca_file=sandbox.openbao.ca_file,
        auth=TokenAuth(source=EnvironmentSource(variable="PKI_TEST_TOKEN")),
    )
    return VaultPki(vault=vault, mount=MOUNT, role="client", common_name="run.example.org", ttl_seconds=300)


def test_a_server_knows_its_client_by_the_certificate(sandbox: Sandbox, pki: VaultPki, tmp_path: Path) -> None:
    authority = sandbox.openbao.client().adapter.get(f"/v1/{MOUNT}/ca/pem").text
    files = issue_loopback_certificate(tmp_path)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_cert_chain(files.certificate, files.key)
    seen: list[object] = []

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with server.wrap_socket(connection, server_side=True) as stream:
            certificate: Any = stream.getpeercert()
            seen.append(dict(item[0] for item in certificate["subject"]))
            stream.sendall(b"hello")

    with credential_scope(), socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        context = pki.ssl_context(ca_file=str(files.authority))
        with (
            socket.create_connection(listener.getsockname(), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as stream,
        ):
            assert stream.recv(5) == b"hello"
        thread.join(5)
    assert seen == [{"commonName": "run.example.org"}]


def test_the_files_are_in_memory_and_the_certificate_is_revoked_with_the_run(sandbox: Sandbox, pki: VaultPki) -> None:
    session = login(pki.vault.server(), Token(sandbox.openbao.root_token))
    with credential_scope():
        with pki.files() as files:
            assert files.key.stat().st_mode & 0o777 == 0o600
            assert files.key.is_relative_to("/dev/shm")  # noqa: S108 - where it has to be
            assert "PRIVATE KEY" in files.key.read_text()
        assert not files.key.exists()
        serial = pki.issue().serial
        assert session.valid_certificate(MOUNT, serial)
    assert session.valid_certificate(MOUNT, serial) is None
    session.close()


@pytest.fixture
def own_pki(sandbox: Sandbox, pki: VaultPki, tmp_path: Path) -> VaultPki:
    """The same by a login of its own with the least policy."""
    sandbox.openbao.write_policy("scope-pki", policy([pki.capabilities(), pki.vault.capabilities()]))
    made = sandbox.openbao.issue_app_role(
        "scope-pki", policy="scope-pki", token_ttl_seconds=300, secret_id_ttl_seconds=600
    )
    secret_id = tmp_path / "secret-id"
    secret_id.write_text(made.secret_id.get_secret_value())
    auth = AppRoleAuth(role_id=made.role_id, secret_id=FileSource(path=secret_id))
    return pki.model_copy(update={"vault": pki.vault.model_copy(update={"auth": auth})})


def test_a_certificate_whose_token_was_replaced_ends_with_the_run(sandbox: Sandbox, own_pki: VaultPki) -> None:
    session = login(own_pki.vault.server(), Token(sandbox.openbao.root_token))
    with credential_scope():
        first = own_pki.issue().serial
        session.revoke_accessor(own_pki.vault.connect().session().accessor)
        second = own_pki.issue().serial
        assert session.valid_certificate(MOUNT, first)
    assert session.valid_certificate(MOUNT, first) is None
    assert session.valid_certificate(MOUNT, second) is None
    states = {
        lease.kind: lease.state
        for found in open_ledger(os.environ["HOLDTRUE_LEDGER_URL"]).unsettled()
        for lease in found.leases
    }
    # Nobody may prove to the run that its first token is dead, so that is left to the sweep.
    assert states == {LeaseKind.TOKEN: LeaseState.HELD}
    session.close()


def test_a_certificate_that_is_not_stored_is_named_once_with_its_end(
    pki: VaultPki, caplog: pytest.LogCaptureFixture
) -> None:
    with credential_scope():
        issued = pki.model_copy(update={"role": "unstored"}).issue()
    assert issued.serial in caplog.text
    with credential_scope():
        (left,) = sweep(current_scope().ledger(), [pki.vault]).leases
    assert (left.outcome, left.reference) == (SweepOutcome.IRREVOCABLE, issued.serial)
    assert left.expires_at is not None
    assert abs((left.expires_at - issued.expires_at).total_seconds()) < 5
    with credential_scope():
        assert sweep(current_scope().ledger(), [pki.vault]).leases == ()


def test_a_certificate_lives_as_long_as_its_role_allows_and_no_longer_than_its_ca(pki: VaultPki) -> None:
    with credential_scope():
        capped = pki.model_copy(update={"role": "short", "ttl_seconds": 3600}).issue()
        assert (capped.expires_at - datetime.now(UTC)).total_seconds() <= 60
        with pytest.raises(RejectedError, match="beyond the expiration of the CA") as caught:
            pki.model_copy(update={"ttl_seconds": 3 * 3600}).issue()
    assert "ttl_seconds" in caught.value.next_step
    assert open_ledger(os.environ["HOLDTRUE_LEDGER_URL"]).unsettled() == ()
