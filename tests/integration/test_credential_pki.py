"""A client certificate for one run, used against a real TLS server that asks for one, and revoked at the run's end."""

import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from holdtrue.adapters.vault import login
from holdtrue.adapters.vault.auth import Token
from holdtrue.credentials.logins import TokenAuth
from holdtrue.credentials.pki import VaultPki
from holdtrue.credentials.scope import credential_scope
from holdtrue.credentials.sources import EnvironmentSource
from holdtrue.credentials.vault import VaultCredentials
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
        admin.write_data(f"{MOUNT}/roles/client", data={"allowed_domains": "example.org", "allow_subdomains": True})
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
