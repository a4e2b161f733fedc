"""What can be asked of Vault beyond KV version 2 and SSH, and the further logins, on a real server."""

from collections.abc import Callable, Iterator

import hvac
import pytest
from pydantic import SecretStr

from holdtrue.adapters.vault import LeaseGone, VaultServer, VaultSession, login, open_vault, unwrap
from holdtrue.adapters.vault.auth import AppRole, Jwt, Token, Userpass
from holdtrue.core.vault_paths import path_problem
from holdtrue.errors import AccessDenied, HoldtrueError, RejectedError, ResourceMissing
from sandbox import Sandbox

KV1, PKI, KEY = "engines-kv1", "engines-pki", "engines-key"
PASSWORD = "password-of-the-engines-test"


@pytest.fixture(scope="module")
def server(sandbox: Sandbox) -> VaultServer:
    return VaultServer(address=sandbox.openbao.address, ca_file=sandbox.openbao.ca_file, timeout_seconds=5)


@pytest.fixture(scope="module")
def admin(sandbox: Sandbox) -> hvac.Client:
    client = sandbox.openbao.client()
    client.sys.enable_secrets_engine("kv", path=KV1, options={"version": "1"})
    client.sys.enable_secrets_engine("pki", path=PKI)
    client.write_data(f"{PKI}/root/generate/internal", data={"common_name": "engines test", "ttl": "2h"})
    role = {"allowed_domains": "example.org", "allow_subdomains": True, "max_ttl": "1h"}
    client.write_data(f"{PKI}/roles/client", data=role)
    client.secrets.transit.create_key(KEY)
    client.sys.enable_auth_method("userpass")
    client.write_data("auth/userpass/users/bob", data={"password": PASSWORD})
    return client


@pytest.fixture(scope="module")
def vault(sandbox: Sandbox, server: VaultServer, admin: hvac.Client) -> Iterator[VaultSession]:
    assert admin.is_authenticated()
    with open_vault(server, Token(sandbox.openbao.root_token)) as session:
        yield session


def refusal(kind: type[HoldtrueError], call: Callable[[], object], *named: str) -> None:
    with pytest.raises(HoldtrueError) as caught:
        call()
    assert type(caught.value) is kind, caught.value
    assert caught.value.next_step
    assert [text for text in named if text not in str(caught.value)] == []


# KV


def test_kv_version_1_with_any_letters_in_its_path(vault: VaultSession) -> None:
    assert vault.write_secret(KV1, "a b/ü", {"x": SecretStr("first-value")}, kv_version=1) == 0
    assert vault.read_secret(KV1, "a b/ü", kv_version=1)["x"].get_secret_value() == "first-value"


def test_the_wrong_version_of_the_engine_is_named_and_nothing_is_written(vault: VaultSession) -> None:
    vault.write_secret(KV1, "app", {"x": SecretStr("first-value")}, kv_version=1)
    refusal(RejectedError, lambda: vault.read_secret(KV1, "app"), "KV version 1", "kv_version")
    refusal(RejectedError, lambda: vault.write_secret(KV1, "new", {"x": SecretStr("y" * 9)}), "KV version 1")
    refusal(ResourceMissing, lambda: vault.read_secret(KV1, "data/new", kv_version=1))
    vault.write_secret("secret", "engines/app", {"x": SecretStr("first-value")})
    refusal(RejectedError, lambda: vault.read_secret("secret", "engines/app", kv_version=1), "KV version 2")
    refusal(RejectedError, lambda: vault.read_secret(KV1, "app", 3, kv_version=1), "no versions")


def test_check_and_set(vault: VaultSession) -> None:
    first = vault.write_secret("secret", "engines/cas", {"x": SecretStr("first-value")}, cas=0)
    assert vault.read_secret_version("secret", "engines/cas").version == first
    second = vault.write_secret("secret", "engines/cas", {"x": SecretStr("second-value")}, cas=first)
    stale = {"x": SecretStr("a-lost-update")}
    refusal(RejectedError, lambda: vault.write_secret("secret", "engines/cas", stale, cas=first), "in between")
    assert vault.read_secret("secret", "engines/cas", second)["x"].get_secret_value() == "second-value"


@pytest.mark.parametrize("path", ["a?version=1", "a#b", "a%2fb", "../a", "a//b", "/a", "a/", "a\nb", 'a"', "a*", "+/a"])
def test_a_path_that_would_be_another_request_is_not_sent(vault: VaultSession, path: str) -> None:
    assert path_problem(path)
    refusal(RejectedError, lambda: vault.read_secret("secret", path))


# Transit and PKI


def test_transit(vault: VaultSession, admin: hvac.Client) -> None:
    old = vault.encrypt("transit", KEY, SecretStr("what must be stored"))
    admin.secrets.transit.rotate_key(KEY)
    new = vault.rewrap("transit", KEY, old)
    assert (old[:9], new[:9]) == ("vault:v1:", "vault:v2:")
    for ciphertext in (old, new):
        assert vault.decrypt("transit", KEY, ciphertext).get_secret_value() == "what must be stored"
    refusal(RejectedError, lambda: vault.decrypt("transit", KEY, "vault:v1:AAAA"))
    refusal(RejectedError, lambda: vault.decrypt("transit", KEY, "no ciphertext"))
    refusal(ResourceMissing, lambda: vault.decrypt("transit", "no-such-key", old))
    raw = admin.write_data(f"transit/encrypt/{KEY}", data={"plaintext": "//4="})["data"]["ciphertext"]
    refusal(RejectedError, lambda: vault.decrypt("transit", KEY, raw), "no text")


def test_a_certificate_from_issue_to_revocation(vault: VaultSession) -> None:
    issued = vault.issue_certificate(PKI, "client", common_name="a.example.org", ttl_seconds=60)
    assert issued.private_key.get_secret_value().startswith("-----BEGIN")
    assert issued.private_key.get_secret_value() not in repr(issued)
    assert vault.valid_certificate(PKI, issued.serial) == issued.certificate
    vault.revoke_certificate(PKI, issued.serial)
    assert vault.valid_certificate(PKI, issued.serial) is None
    refusal(ResourceMissing, lambda: vault.revoke_certificate(PKI, "11:22:33"))
    refusal(ResourceMissing, lambda: vault.valid_certificate(PKI, "11:22:33"))
    asked = {"common_name": "evil.org", "ttl_seconds": 60}
    refusal(RejectedError, lambda: vault.issue_certificate(PKI, "client", **asked), "evil.org")  # type: ignore[arg-type]
    refusal(ResourceMissing, lambda: vault.issue_certificate(PKI, "nobody", **asked))  # type: ignore[arg-type]


def test_engines_that_this_server_does_not_have(vault: VaultSession) -> None:
    refusal(ResourceMissing, lambda: vault.aws_credentials("aws", "role", kind="sts", ttl_seconds=900), "aws/sts/role")
    refusal(ResourceMissing, lambda: vault.database_credentials("database", "role"), "database/creds/role")


# Leases and tokens


@pytest.mark.expected_service_errors(
    "openbao", "lease renewal failed: .*lease not found", "A lease that never was is renewed."
)
def test_what_is_gone_is_told_apart_from_what_may_not_be_asked(sandbox: Sandbox, vault: VaultSession) -> None:
    assert vault.lookup_accessor("no-such-accessor") is None
    assert vault.lookup_lease("database/creds/role/no-such-lease") is None
    refusal(LeaseGone, lambda: vault.renew_lease("database/creds/role/no-such-lease", 60))
    auth = AppRole(sandbox.openbao.role_id, sandbox.openbao.secret_id)
    with open_vault(vault.server, auth) as plain:
        assert vault.lookup_accessor(plain.accessor)
        assert plain.renew(60) == 60
        assert plain.ttl_seconds <= 60
        refusal(AccessDenied, lambda: plain.lookup_accessor("anything"), "auth/token/lookup-accessor")
        vault.revoke_accessor(plain.accessor)
        assert not plain.is_alive()
        assert vault.lookup_accessor(plain.accessor) is None


# Logins


def test_user_and_password(server: VaultServer, vault: VaultSession) -> None:
    with open_vault(server, Userpass("bob", SecretStr(PASSWORD))) as session:
        assert session.grant.owned
        accessor = session.accessor
    assert vault.lookup_accessor(accessor) is None
    for name, password in (("bob", "wrong-password"), ("nobody", PASSWORD)):
        refusal(AccessDenied, lambda name=name, password=password: login(server, Userpass(name, SecretStr(password))))  # type: ignore[misc]


def test_a_token_of_somebody_else_is_used_and_left_alone(sandbox: Sandbox, server: VaultServer) -> None:
    token = sandbox.openbao.issue_token(ttl_seconds=60)
    with open_vault(server, Token(token)) as session:
        assert not session.grant.owned
        assert 0 < session.lifetime_seconds <= 60
    assert sandbox.openbao.client(token).auth.token.lookup_self()["data"]["accessor"] == session.accessor
    refusal(AccessDenied, lambda: login(server, Token(SecretStr("hvs.nonsense"))))


def test_an_auth_method_that_is_not_enabled(server: VaultServer) -> None:
    refusal(AccessDenied, lambda: login(server, Jwt("role", SecretStr("a.b.c"))), "auth/jwt")


def test_a_wrapping_token_opens_once(sandbox: Sandbox, server: VaultServer, admin: hvac.Client) -> None:
    answer = admin.adapter.post(
        "/v1/auth/approle/role/holdtrue/secret-id", headers={"X-Vault-Wrap-TTL": "60s"}, json={}
    )
    token = SecretStr(answer["wrap_info"]["token"])
    secret_id = unwrap(server, token)
    with open_vault(server, AppRole(sandbox.openbao.role_id, secret_id)) as session:
        assert session.is_alive()
    refusal(AccessDenied, lambda: unwrap(server, token), "somebody else")
    refusal(AccessDenied, lambda: unwrap(server, SecretStr("hvs.nonsense")))


def test_a_secret_id_that_is_used_up(sandbox: Sandbox, server: VaultServer, admin: hvac.Client) -> None:
    made = admin.write_data("auth/approle/role/holdtrue/secret-id", data={"num_uses": 1})["data"]["secret_id"]
    auth = AppRole(sandbox.openbao.role_id, SecretStr(made))
    with open_vault(server, auth):
        pass
    refusal(AccessDenied, lambda: login(server, auth), "used up")
