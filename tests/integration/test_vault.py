"""The Vault adapter on a real server: what it promises, and every way it can be refused."""

import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from textwrap import dedent

import hvac
import pytest
from pydantic import SecretStr

from holdtrue.adapters.ssh import generate_key_pair
from holdtrue.adapters.vault import NotSent, VaultServer, VaultSession, open_vault
from holdtrue.adapters.vault.auth import AppRole
from holdtrue.adapters.vault.failures import SecretDeleted
from holdtrue.errors import (
    AccessDenied,
    CertificateRefused,
    HoldtrueError,
    RejectedError,
    ResourceMissing,
    SecretInvalid,
    ServiceNotReady,
    ServiceUnreachable,
)
from sandbox import Sandbox
from sandbox.certificates import issue_loopback_certificate

PATH = "holdtrue/vault-test"
VALUE = "kv-value-of-the-vault-test"
WIDE_POLICY = """
path "*" { capabilities = ["create", "read", "update", "list"] }
"""


@pytest.fixture
def server(sandbox: Sandbox) -> VaultServer:
    return VaultServer(address=sandbox.openbao.address, ca_file=sandbox.openbao.ca_file, timeout_seconds=5)


@pytest.fixture
def auth(sandbox: Sandbox) -> AppRole:
    return AppRole(role_id=sandbox.openbao.role_id, secret_id=sandbox.openbao.secret_id)


@pytest.fixture
def root(sandbox: Sandbox) -> hvac.Client:
    return sandbox.openbao.client()


@pytest.fixture
def wide(sandbox: Sandbox) -> AppRole:
    sandbox.openbao.write_policy("vault-test-wide", WIDE_POLICY)
    return _role(sandbox, "vault-test-wide", policy="vault-test-wide")


@pytest.fixture
def secret(sandbox: Sandbox) -> str:
    sandbox.openbao.write_secret(PATH, {"password": VALUE, "user": "app"})
    return PATH


def _role(sandbox: Sandbox, name: str, *, policy: str, token_ttl_seconds: int = 300) -> AppRole:
    made = sandbox.openbao.issue_app_role(
        name, policy=policy, token_ttl_seconds=token_ttl_seconds, secret_id_ttl_seconds=300
    )
    return AppRole(role_id=made.role_id, secret_id=made.secret_id)


def _is_alive(root: hvac.Client, accessor: str) -> bool:
    try:
        root.auth.token.lookup_accessor(accessor)
    except (hvac.exceptions.Forbidden, hvac.exceptions.InvalidPath, hvac.exceptions.InvalidRequest):
        return False
    return True


def _refusal(kind: type[HoldtrueError], *secrets: SecretStr, call: Callable[[], object]) -> HoldtrueError:
    """The error of exactly this kind that `call` ends in, checked for what every message owes its reader."""
    with pytest.raises(HoldtrueError) as caught:
        call()
    error = caught.value
    assert type(error) is kind
    assert error.where
    assert error.next_step
    everything = "".join(traceback.format_exception(error))
    for value in secrets:
        assert value.get_secret_value() not in everything
    return error


def _log_in(server: VaultServer, auth: AppRole) -> None:
    with open_vault(server, auth):
        pass


# What it promises


def test_reads_a_secret(server: VaultServer, auth: AppRole, secret: str) -> None:
    with open_vault(server, auth) as vault:
        fields = vault.read_secret("secret", secret)
    assert {name: value.get_secret_value() for name, value in fields.items()} == {"password": VALUE, "user": "app"}


def test_reads_an_older_version(sandbox: Sandbox, server: VaultServer, auth: AppRole) -> None:
    path = "holdtrue/vault-versions"
    for value in ("first", "second"):
        sandbox.openbao.write_secret(path, {"value": value})
    with open_vault(server, auth) as vault:
        assert vault.read_secret("secret", path, 1)["value"].get_secret_value() == "first"
        assert vault.read_secret("secret", path)["value"].get_secret_value() == "second"


def test_signs_a_key_for_the_asked_principals_and_time(server: VaultServer, auth: AppRole, tmp_path: Path) -> None:
    _, public_key = generate_key_pair()
    with open_vault(server, auth) as vault:
        line = vault.sign_ssh_key("ssh", "deploy", public_key, ("deploy",), 300).certificate
        signer = vault.ssh_ca("ssh")
    (tmp_path / "key-cert.pub").write_text(line + "\n")
    (tmp_path / "ca.pub").write_text(signer + "\n")
    certificate = _keygen("-Lf", str(tmp_path / "key-cert.pub"))
    assert re.search(r"Principals:\s+deploy\s+Critical", certificate)
    assert _keygen("-lf", str(tmp_path / "ca.pub")).split()[1] in certificate
    start, end = re.findall(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", certificate)
    lasts = time.mktime(time.strptime(end, "%Y-%m-%dT%H:%M:%S")) - time.mktime(
        time.strptime(start, "%Y-%m-%dT%H:%M:%S")
    )
    assert 300 <= lasts <= 360  # Vault dates the start back by 30 s.


def _keygen(*arguments: str) -> str:
    return subprocess.run(("ssh-keygen", *arguments), capture_output=True, text=True, check=True, timeout=20).stdout


def test_reads_the_public_key_of_a_host_ca(sandbox: Sandbox, server: VaultServer, auth: AppRole) -> None:
    with open_vault(server, auth) as vault:
        assert vault.ssh_ca("ssh-host") == sandbox.openbao.host_ca


def test_tells_what_the_token_may_do(sandbox: Sandbox, server: VaultServer) -> None:
    sandbox.openbao.write_policy(
        "vault-test-asks",
        'path "sys/capabilities-self" { capabilities = ["update"] }\npath "secret/data/a" { capabilities = ["read"] }',
    )
    with open_vault(server, _role(sandbox, "vault-test-asks", policy="vault-test-asks")) as vault:
        assert vault.capabilities(["secret/data/a", "secret/data/b"]) == {
            "secret/data/a": frozenset({"read"}),
            "secret/data/b": frozenset({"deny"}),
        }


def test_the_environment_of_this_process_does_not_matter(
    server: VaultServer, auth: AppRole, secret: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".vault-token").write_text("of-somebody-else")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("VAULT_TOKEN", "VAULT_NAMESPACE", "VAULT_CACERT", "VAULT_ADDR"):
        monkeypatch.setenv(name, "of-somebody-else")
    with open_vault(server, auth) as vault:
        assert vault.read_secret("secret", secret)["user"].get_secret_value() == "app"


def test_a_session_does_not_show_its_token(server: VaultServer, auth: AppRole) -> None:
    with open_vault(server, auth) as vault:
        shown = f"{vault!r} {vault} {vault.token!r} {vars(vault)} {auth!r}"
        assert vault.token.get_secret_value() not in shown
        assert auth.secret_id.get_secret_value() not in shown
        assert 0 < vault.ttl_seconds <= 1200


# Nothing lives on


def test_the_token_is_revoked_when_the_session_ends(root: hvac.Client, server: VaultServer, auth: AppRole) -> None:
    with open_vault(server, auth) as vault:
        assert _is_alive(root, vault.accessor)
        token = vault.token.get_secret_value()
    assert not _is_alive(root, vault.accessor)
    with pytest.raises(hvac.exceptions.Forbidden):
        hvac.Client(server.address, token=token, verify=str(server.ca_file)).auth.token.lookup_self()


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_token_is_revoked_when_the_body_raises(
    root: hvac.Client, server: VaultServer, auth: AppRole, kind: type[BaseException]
) -> None:
    accessors = []
    with pytest.raises(kind), open_vault(server, auth) as vault:  # noqa: PT012 - the session is what is tested
        accessors.append(vault.accessor)
        assert _is_alive(root, vault.accessor)
        raise kind
    assert not _is_alive(root, accessors[0])


CHILD = """
import signal, sys, time
from pathlib import Path
from pydantic import SecretStr
from holdtrue.adapters.vault import VaultServer, open_vault
from holdtrue.adapters.vault.auth import AppRole
from holdtrue.runtime.tracing import flush_tracing, start_tracing

class Terminated(BaseException):
    pass

def terminate(*_):
    raise Terminated

signal.signal(signal.SIGTERM, terminate)
start_tracing()
address, ca_file, role_id, path = sys.argv[1:]
secret_id = SecretStr(sys.stdin.readline().strip())
try:
    with open_vault(VaultServer(address, ca_file=Path(ca_file)), AppRole(role_id, secret_id)) as vault:
        vault.read_secret("secret", path)
        print(vault.accessor, flush=True)
        time.sleep(60)
except Terminated:
    flush_tracing()
"""


def test_the_token_is_revoked_on_sigterm_and_no_span_holds_a_secret(
    root: hvac.Client, server: VaultServer, auth: AppRole, secret: str
) -> None:
    child = subprocess.Popen(
        (sys.executable, "-c", dedent(CHILD), server.address, str(server.ca_file), auth.role_id, secret),
        env={"OTEL_TRACES_EXPORTER": "console", "PATH": "/usr/bin:/bin"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(auth.secret_id.get_secret_value() + "\n")
        child.stdin.flush()
        accessor = child.stdout.readline().strip()
        assert _is_alive(root, accessor)
        child.send_signal(signal.SIGTERM)
        spans, _ = child.communicate(timeout=20)
    finally:
        child.kill()
        child.wait()
    assert not _is_alive(root, accessor)
    assert {"vault log in by AppRole", "vault read the secret", "vault revoke the token of this session"} <= set(
        re.findall(r'"name": "([^"]+)"', spans)
    )
    assert VALUE not in spans
    assert auth.secret_id.get_secret_value() not in spans


def test_a_token_that_cannot_be_revoked_is_reported_and_the_work_kept(
    sandbox: Sandbox, root: hvac.Client, server: VaultServer, auth: AppRole, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        with open_vault(server, auth) as vault:
            accessor, token = vault.accessor, vault.token
            sandbox.openbao.seal()
    finally:
        sandbox.openbao.unseal()
    assert _is_alive(root, accessor)
    root.auth.token.revoke_accessor(accessor)
    assert accessor in caplog.text
    assert token.get_secret_value() not in caplog.text


# No answer


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize("address", ["https://127.0.0.1:{port}", "https://vault.invalid:{port}"])
def test_a_server_that_is_down_is_unreachable(auth: AppRole, address: str) -> None:
    down = VaultServer(address=address.format(port=_free_port()), timeout_seconds=5)
    error = _refusal(NotSent, auth.secret_id, call=lambda: _log_in(down, auth))
    assert isinstance(error, ServiceUnreachable)


def test_a_server_that_hangs_is_unreachable_in_time(sandbox: Sandbox, server: VaultServer, auth: AppRole) -> None:
    hasty = VaultServer(address=server.address, ca_file=server.ca_file, timeout_seconds=0.5)
    sandbox.openbao.pause()
    began = time.monotonic()
    try:
        error = _refusal(NotSent, auth.secret_id, call=lambda: _log_in(hasty, auth))
        assert isinstance(error, ServiceUnreachable)
    finally:
        sandbox.openbao.resume()
    assert time.monotonic() - began < 3


def test_a_certificate_of_another_ca_is_refused(server: VaultServer, auth: AppRole, tmp_path: Path) -> None:
    other = VaultServer(address=server.address, ca_file=issue_loopback_certificate(tmp_path).authority)
    _refusal(CertificateRefused, auth.secret_id, call=lambda: _log_in(other, auth))


def test_the_machines_cas_do_not_know_the_server(server: VaultServer, auth: AppRole) -> None:
    _refusal(CertificateRefused, auth.secret_id, call=lambda: _log_in(VaultServer(address=server.address), auth))


@pytest.fixture
def misnamed(tmp_path: Path) -> Iterator[VaultServer]:
    """A TLS server at 127.0.0.2 whose certificate, of a trusted CA, is for 127.0.0.1."""
    files = issue_loopback_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    with socket.create_server(("127.0.0.2", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection, context.wrap_socket(connection, server_side=True):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield VaultServer(address=f"https://127.0.0.2:{listener.getsockname()[1]}", ca_file=files.authority)
        thread.join(timeout=5)


def test_a_certificate_for_another_name_is_refused(misnamed: VaultServer, auth: AppRole) -> None:
    error = _refusal(CertificateRefused, auth.secret_id, call=lambda: _log_in(misnamed, auth))
    assert "127.0.0.2" in str(error)


def test_a_ca_file_that_is_not_there(server: VaultServer, auth: AppRole, tmp_path: Path) -> None:
    lost = VaultServer(address=server.address, ca_file=tmp_path / "no.pem")
    _refusal(ResourceMissing, auth.secret_id, call=lambda: _log_in(lost, auth))


def test_a_ca_file_without_a_certificate(server: VaultServer, auth: AppRole, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("no certificate\n")
    odd = VaultServer(address=server.address, ca_file=tmp_path / "empty.pem")
    _refusal(CertificateRefused, auth.secret_id, call=lambda: _log_in(odd, auth))


def test_http_to_a_tls_port_is_rejected(server: VaultServer, auth: AppRole) -> None:
    plain = VaultServer(address=server.address.replace("https", "http"))
    _refusal(RejectedError, auth.secret_id, call=lambda: _log_in(plain, auth))


def test_https_to_a_plain_port_is_rejected(sandbox: Sandbox, auth: AppRole) -> None:
    tls = VaultServer(address=sandbox.aws.endpoint_url.replace("http", "https"))
    _refusal(RejectedError, auth.secret_id, call=lambda: _log_in(tls, auth))


def test_an_address_without_a_scheme_is_rejected(auth: AppRole) -> None:
    _refusal(RejectedError, auth.secret_id, call=lambda: _log_in(VaultServer(address="vault.example.org"), auth))


# An answer that says no


def test_a_sealed_server_is_not_ready(sandbox: Sandbox, server: VaultServer, auth: AppRole) -> None:
    sandbox.openbao.seal()
    try:
        _refusal(ServiceNotReady, auth.secret_id, call=lambda: _log_in(server, auth))
    finally:
        sandbox.openbao.unseal()


def test_an_overloaded_server_is_not_ready(root: hvac.Client, server: VaultServer, auth: AppRole, secret: str) -> None:
    root.write_data("sys/quotas/rate-limit/vault-test", data={"path": "secret/", "rate": 1, "interval": "60s"})
    try:
        with open_vault(server, auth) as vault:
            vault.read_secret("secret", secret)
            _refusal(ServiceNotReady, vault.token, call=lambda: vault.read_secret("secret", secret))
    finally:
        root.delete("sys/quotas/rate-limit/vault-test")


@pytest.mark.parametrize("wrong", ["role_id", "secret_id"])
def test_a_wrong_login_is_denied(server: VaultServer, auth: AppRole, wrong: str) -> None:
    bad = (
        AppRole(role_id="no-such-role", secret_id=auth.secret_id)
        if wrong == "role_id"
        else AppRole(role_id=auth.role_id, secret_id=SecretStr("00000000-not-the-secret-id"))
    )
    _refusal(AccessDenied, auth.secret_id, bad.secret_id, call=lambda: _log_in(server, bad))


def test_an_expired_secret_id_is_denied(sandbox: Sandbox, server: VaultServer) -> None:
    made = sandbox.openbao.issue_app_role("vault-test-old", token_ttl_seconds=60, secret_id_ttl_seconds=1)
    time.sleep(1.5)
    old = AppRole(role_id=made.role_id, secret_id=made.secret_id)
    _refusal(AccessDenied, old.secret_id, call=lambda: _log_in(server, old))


def test_an_auth_mount_that_is_not_there(server: VaultServer, auth: AppRole) -> None:
    lost = AppRole(role_id=auth.role_id, secret_id=auth.secret_id, mount="nowhere")
    error = _refusal(AccessDenied, auth.secret_id, call=lambda: _log_in(server, lost))
    assert "auth/nowhere" in str(error)


def test_a_namespace_that_is_not_there(server: VaultServer, auth: AppRole) -> None:
    lost = VaultServer(address=server.address, ca_file=server.ca_file, namespace="nobody")
    error = _refusal(ResourceMissing, auth.secret_id, call=lambda: _log_in(lost, auth))
    assert "nobody" in str(error)


def test_a_namespace_is_used(root: hvac.Client, server: VaultServer, wide: AppRole) -> None:
    root.sys.create_namespace(path="vault-test-team")
    inside = VaultServer(address=server.address, ca_file=server.ca_file, namespace="vault-test-team")
    # The role exists in the root namespace only, so a login there shows that the namespace was sent.
    error = _refusal(AccessDenied, wide.secret_id, call=lambda: _log_in(inside, wide))
    assert "vault-test-team" in str(error)


def test_a_role_with_batch_tokens_is_rejected(sandbox: Sandbox, root: hvac.Client, server: VaultServer) -> None:
    role = _role(sandbox, "vault-test-batch", policy="holdtrue")
    root.write_data("auth/approle/role/vault-test-batch", data={"token_type": "batch"})
    _refusal(RejectedError, role.secret_id, call=lambda: _log_in(server, role))


def test_a_path_outside_the_policy_is_denied_with_the_line_to_add(server: VaultServer, auth: AppRole) -> None:
    with open_vault(server, auth) as vault:
        error = _refusal(AccessDenied, vault.token, call=lambda: vault.read_secret("secret", "other"))
    assert 'path "secret/data/other" { capabilities = ["read"] }' in error.next_step


def test_the_line_that_a_denial_names_is_enough(sandbox: Sandbox, server: VaultServer) -> None:
    sandbox.openbao.write_policy("vault-test-line", 'path "unused" { capabilities = ["read"] }')
    sandbox.openbao.write_secret("vault-line", {"a": "1"})
    role = _role(sandbox, "vault-test-line", policy="vault-test-line")
    _, public_key = generate_key_pair()
    calls: tuple[Callable[[VaultSession], object], ...] = (
        lambda vault: vault.read_secret("secret", "vault-line"),
        lambda vault: vault.sign_ssh_key("ssh", "deploy", public_key, ("deploy",), 60),
        lambda vault: vault.capabilities(["secret/data/vault-line"]),
    )
    for call in calls:
        with open_vault(server, role) as vault:
            error = _refusal(AccessDenied, vault.token, call=partial(call, vault))
        rule = error.next_step.partition(": ")[2]
        sandbox.openbao.write_policy("vault-test-line", rule)
        with open_vault(server, role) as vault:
            assert call(vault)


def test_an_expired_token_is_denied_and_said_to_be_over(sandbox: Sandbox, server: VaultServer, secret: str) -> None:
    short = _role(sandbox, "vault-test-short", policy="holdtrue", token_ttl_seconds=1)
    with open_vault(server, short) as vault:
        time.sleep(1.5)
        error = _refusal(AccessDenied, vault.token, call=lambda: vault.read_secret("secret", secret))
        assert vault.ttl_seconds == 0
    assert "token_max_ttl" in str(error)


def test_a_revoked_token_is_denied(root: hvac.Client, server: VaultServer, auth: AppRole, secret: str) -> None:
    with open_vault(server, auth) as vault:
        root.auth.token.revoke_accessor(vault.accessor)
        _refusal(AccessDenied, vault.token, call=lambda: vault.read_secret("secret", secret))


# An answer that is not there or not usable


def test_a_missing_path_names_mount_and_path(server: VaultServer, auth: AppRole) -> None:
    with open_vault(server, auth) as vault:
        error = _refusal(ResourceMissing, vault.token, call=lambda: vault.read_secret("secret", "holdtrue/nothing"))
    assert "mount secret" in error.where
    assert "holdtrue/nothing" in error.where


@pytest.mark.parametrize(("removal", "said"), [("delete", "undelete"), ("destroy", "destroyed")])
def test_a_deleted_version_is_missing(
    root: hvac.Client, sandbox: Sandbox, server: VaultServer, auth: AppRole, removal: str, said: str
) -> None:
    path = f"holdtrue/vault-{removal}"
    sandbox.openbao.write_secret(path, {"a": "1"})
    kv = root.secrets.kv.v2
    if removal == "delete":
        kv.delete_latest_version_of_secret(path, mount_point="secret")
    else:
        kv.destroy_secret_versions(path, [1], mount_point="secret")
    with open_vault(server, auth) as vault:
        error = _refusal(SecretDeleted, vault.token, call=lambda: vault.read_secret("secret", path))
        assert vault.newest_version("secret", path).version == 1
    assert isinstance(error, ResourceMissing)
    assert said in str(error)


def test_a_version_that_never_was_is_missing(server: VaultServer, auth: AppRole, secret: str) -> None:
    with open_vault(server, auth) as vault:
        _refusal(ResourceMissing, vault.token, call=lambda: vault.read_secret("secret", secret, 99))


@pytest.mark.parametrize("mount", ["nowhere", "transit", "ssh"])
def test_a_wrong_mount_is_missing(server: VaultServer, wide: AppRole, mount: str) -> None:
    with open_vault(server, wide) as vault:
        error = _refusal(ResourceMissing, vault.token, call=lambda: vault.read_secret(mount, "holdtrue/app"))
    assert f"mount {mount}" in error.where


def test_fields_that_are_not_strings_are_refused_without_their_values(
    root: hvac.Client, server: VaultServer, auth: AppRole
) -> None:
    root.secrets.kv.v2.create_or_update_secret(
        "holdtrue/vault-odd", secret={"good": VALUE, "port": 70654321}, mount_point="secret"
    )
    with open_vault(server, auth) as vault:
        error = _refusal(
            SecretInvalid,
            SecretStr(VALUE),
            SecretStr("70654321"),
            call=lambda: vault.read_secret("secret", "holdtrue/vault-odd"),
        )
    assert "port" in str(error)


def _sign(vault: VaultSession, *, role: str = "deploy", principal: str = "deploy", ttl_seconds: int = 60) -> str:
    _, public_key = generate_key_pair()
    return vault.sign_ssh_key("ssh", role, public_key, (principal,), ttl_seconds).certificate


def test_a_principal_that_the_role_does_not_allow_is_denied(server: VaultServer, auth: AppRole) -> None:
    with open_vault(server, auth) as vault:
        error = _refusal(AccessDenied, vault.token, call=lambda: _sign(vault, principal="root"))
    assert "root" in str(error)


def test_no_principal_at_all_is_denied(server: VaultServer, auth: AppRole) -> None:
    with open_vault(server, auth) as vault:
        _, public_key = generate_key_pair()
        with pytest.raises(RejectedError):
            vault.sign_ssh_key("ssh", "deploy", public_key, ("*",), 60)


def test_a_lifetime_above_the_roles_is_rejected(server: VaultServer, auth: AppRole) -> None:
    with open_vault(server, auth) as vault:
        error = _refusal(RejectedError, vault.token, call=lambda: _sign(vault, ttl_seconds=7200))
    assert "1800" in str(error)


def test_an_ssh_role_that_is_not_there_is_missing(server: VaultServer, wide: AppRole) -> None:
    with open_vault(server, wide) as vault:
        error = _refusal(ResourceMissing, vault.token, call=lambda: _sign(vault, role="nobody"))
    assert "nobody" in str(error)


def test_a_key_that_is_none_is_rejected(server: VaultServer, auth: AppRole) -> None:
    with open_vault(server, auth) as vault:
        _refusal(
            RejectedError, vault.token, call=lambda: vault.sign_ssh_key("ssh", "deploy", "no key", ("deploy",), 60)
        )


def test_signing_at_another_kind_of_mount_is_refused(server: VaultServer, wide: AppRole) -> None:
    with open_vault(server, wide) as vault:
        _, public_key = generate_key_pair()
        with pytest.raises(HoldtrueError) as caught:
            vault.sign_ssh_key("transit", "deploy", public_key, ("deploy",), 60)
    assert "mount transit" in caught.value.where


def test_a_mount_without_a_ca_is_missing(root: hvac.Client, server: VaultServer, wide: AppRole) -> None:
    if "vault-test-ssh/" not in root.sys.list_mounted_secrets_engines()["data"]:
        root.sys.enable_secrets_engine("ssh", path="vault-test-ssh")
    with open_vault(server, wide) as vault:
        error = _refusal(ResourceMissing, vault.token, call=lambda: vault.ssh_ca("vault-test-ssh"))
    assert "vault-test-ssh" in str(error)


@pytest.mark.parametrize("mount", ["nowhere", "secret"])
def test_a_ca_at_a_wrong_mount_is_refused(server: VaultServer, auth: AppRole, wide: AppRole, mount: str) -> None:
    with open_vault(server, auth) as vault:
        _refusal(AccessDenied, vault.token, call=lambda: vault.ssh_ca(mount))
    with open_vault(server, wide) as vault:
        _refusal(ResourceMissing, vault.token, call=lambda: vault.ssh_ca(mount))
