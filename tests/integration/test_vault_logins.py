"""Logins by JWT, Kubernetes service account and client certificate, on a real server: what each admits and refuses."""

import os
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hvac
import pytest

from holdtrue.adapters.ledger import open_ledger
from holdtrue.credentials.logins import CertificateAuth, JwtAuth, KubernetesAuth, VaultLogin
from holdtrue.credentials.scope import credential_scope
from holdtrue.credentials.sources import EnvironmentSource, FileSource
from holdtrue.credentials.vault import VaultCredentials, VaultSecret
from holdtrue.errors import AccessDenied, HoldtrueError, ResourceMissing, SecretInvalid
from holdtrue.models.lease import LeaseKind, LeaseState
from sandbox import Sandbox
from tests.integration.identity_providers import ClientAuthority, Cluster, JwtIssuer, cluster

PATH = "holdtrue/logins-test"
VALUE = "value-of-the-logins-test"
VARIABLE = "LOGINS_TEST_JWT"
JWT, KUBERNETES, CERT = "logins-jwt", "logins-kubernetes", "logins-cert"
ROLE = "worker"
TOKEN = {"token_policies": ["holdtrue"], "token_no_default_policy": True, "token_ttl": "60s", "token_max_ttl": "120s"}


@dataclass(frozen=True, slots=True)
class Providers:
    """Those whom the server trusts."""

    issuer: JwtIssuer
    cluster: Cluster
    clients: ClientAuthority


@pytest.fixture(scope="module")
def providers(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Providers]:
    folder = tmp_path_factory.mktemp("providers")
    admin = sandbox.openbao.client()
    with cluster(folder) as kubernetes:
        made = Providers(JwtIssuer("https://ci.example.org"), kubernetes, ClientAuthority(folder))
        _trust_issuer(admin, made.issuer)
        _trust_cluster(admin, kubernetes)
        admin.sys.enable_auth_method("cert", path=CERT)
        role = {"certificate": made.clients.certificate, "allowed_common_names": ["worker", "late"], **TOKEN}
        admin.write_data(f"auth/{CERT}/certs/{ROLE}", data=role)
        yield made
    for mount in (JWT, KUBERNETES, CERT):
        admin.sys.disable_auth_method(mount)


def _trust_issuer(admin: hvac.Client, issuer: JwtIssuer) -> None:
    admin.sys.enable_auth_method("jwt", path=JWT)
    config = {"jwt_validation_pubkeys": [issuer.public_key], "bound_issuer": issuer.name}
    admin.write_data(f"auth/{JWT}/config", data=config)
    bound = {"bound_audiences": ["vault"], "bound_subject": "repo:fleet", "user_claim": "sub"}
    admin.write_data(f"auth/{JWT}/role/{ROLE}", data={"role_type": "jwt", **bound, **TOKEN})


def _trust_cluster(admin: hvac.Client, kubernetes: Cluster) -> None:
    admin.sys.enable_auth_method("kubernetes", path=KUBERNETES)
    config = {
        "kubernetes_host": kubernetes.url,
        "kubernetes_ca_cert": kubernetes.authority,
        "token_reviewer_jwt": kubernetes.reviewer,
        "disable_local_ca_jwt": True,
    }
    admin.write_data(f"auth/{KUBERNETES}/config", data=config)
    bound = {"bound_service_account_names": [ROLE], "bound_service_account_namespaces": ["jobs"]}
    admin.write_data(f"auth/{KUBERNETES}/role/{ROLE}", data={**bound, "audience": kubernetes.audience, **TOKEN})


@pytest.fixture
def openbao(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    sandbox.openbao.write_secret(PATH, {"password": VALUE})
    return sandbox


def _secret(sandbox: Sandbox, auth: VaultLogin) -> VaultSecret:
    openbao = sandbox.openbao
    vault = VaultCredentials(address=openbao.address, ca_file=openbao.ca_file, timeout_seconds=5, auth=auth)
    return VaultSecret(vault=vault, path=PATH, field="password")


def _works_for_one_run(sandbox: Sandbox, auth: VaultLogin, *, mount: str) -> None:
    """Reads, is renewed and noted while the run lasts, and is revoked with it."""
    secret, before = _secret(sandbox, auth), sandbox.openbao.accessors()
    ledger = open_ledger(os.environ["HOLDTRUE_LEDGER_URL"])
    with credential_scope():
        assert secret.get().get_secret_value() == VALUE
        session = secret.vault.connect().session()
        assert session.renew(30) == 30
        assert sandbox.openbao.accessors() - before == {session.accessor}
        ((lease,),) = (holding.leases for holding in ledger.unsettled())
        assert (lease.kind, lease.state) == (LeaseKind.TOKEN, LeaseState.HELD)
        assert (lease.path, lease.reference) == (f"auth/{mount}/login", session.accessor)
    assert sandbox.openbao.accessors() <= before
    assert ledger.unsettled() == ()


def _is_refused(
    sandbox: Sandbox, auth: VaultLogin, *named: str, secret: str = "", kind: type[HoldtrueError] = AccessDenied
) -> None:
    """One message that says what to do and holds no secret; nothing is left, at the server or in the ledger."""
    before = sandbox.openbao.accessors()
    with credential_scope(), pytest.raises(HoldtrueError) as caught:
        _secret(sandbox, auth).get()
    assert type(caught.value) is kind, caught.value
    assert caught.value.where
    assert caught.value.next_step
    assert [text for text in named if text not in str(caught.value)] == []
    everything = "".join(traceback.format_exception(caught.value))
    assert [part for part in (secret, *secret.split(".")) if part and part in everything] == []
    assert sandbox.openbao.accessors() <= before
    assert open_ledger(os.environ["HOLDTRUE_LEDGER_URL"]).unsettled() == ()


# JWT


@pytest.fixture
def jwt_file(tmp_path: Path) -> Path:
    return tmp_path / "identity.jwt"


def _by_file(path: Path, token: str, *, role: str = ROLE, mount: str = JWT) -> JwtAuth:
    path.write_text(token + "\n")
    return JwtAuth(role=role, mount=mount, token=FileSource(path=path))


def test_a_jwt_from_a_file(openbao: Sandbox, providers: Providers, jwt_file: Path) -> None:
    auth = _by_file(jwt_file, providers.issuer.sign(aud="vault", sub="repo:fleet"))
    _works_for_one_run(openbao, auth, mount=JWT)


def test_a_jwt_from_a_variable(openbao: Sandbox, providers: Providers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, providers.issuer.sign(aud=["other", "vault"], sub="repo:fleet"))
    _works_for_one_run(openbao, JwtAuth(role=ROLE, mount=JWT, token=EnvironmentSource(variable=VARIABLE)), mount=JWT)


def test_a_jwt_that_is_replaced_is_read_anew(openbao: Sandbox, providers: Providers, jwt_file: Path) -> None:
    auth = _by_file(jwt_file, providers.issuer.sign(aud="vault", sub="repo:fleet"))
    secret = _secret(openbao, auth)
    with credential_scope():
        first = secret.vault.connect().session().accessor
        jwt_file.write_text(providers.issuer.sign(aud="vault", sub="repo:fleet", jti="second"))
        openbao.openbao.client().auth.token.revoke_accessor(first)
        assert secret.get().get_secret_value() == VALUE
        assert secret.vault.connect().session().accessor != first


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"exp": 2000, "nbf": 1000, "iat": 1000}, "expired"),
        ({"nbf": int(time.time()) + 3600, "exp": int(time.time()) + 7200}, "not yet valid"),
        ({"aud": "somebody-else"}, "audience"),
        ({"sub": "repo:other"}, "subject"),
        ({"iss": "https://other.example.org"}, "issuer"),
    ],
)
def test_a_jwt_with_a_wrong_claim(
    openbao: Sandbox, providers: Providers, jwt_file: Path, claims: dict[str, object], said: str
) -> None:
    token = providers.issuer.sign(**{"aud": "vault", "sub": "repo:fleet"} | claims)
    auth = _by_file(jwt_file, token)
    _is_refused(openbao, auth, said, f"with role {ROLE}", f"mount auth/{JWT}", "fresh JWT", secret=token)


@pytest.mark.usefixtures("providers")
def test_a_jwt_that_another_signed_and_what_is_no_jwt(openbao: Sandbox, jwt_file: Path) -> None:
    forged = JwtIssuer("https://ci.example.org").sign(aud="vault", sub="repo:fleet")
    _is_refused(openbao, _by_file(jwt_file, forged), "signature", "fresh JWT", secret=forged)
    _is_refused(openbao, _by_file(jwt_file, "no-jwt-at-all"), "fresh JWT", secret="no-jwt-at-all")


def test_a_role_and_a_mount_that_are_not_there(openbao: Sandbox, providers: Providers, jwt_file: Path) -> None:
    token = providers.issuer.sign(aud="vault", sub="repo:fleet")
    _is_refused(openbao, _by_file(jwt_file, token, role="nobody"), "nobody", "could not be found", secret=token)
    _is_refused(openbao, _by_file(jwt_file, token, mount="nowhere"), "auth/nowhere", "vault auth list", secret=token)


@pytest.mark.usefixtures("providers")
def test_a_jwt_that_is_not_where_it_should_be(
    openbao: Sandbox, jwt_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    by_variable = JwtAuth(role=ROLE, mount=JWT, token=EnvironmentSource(variable=VARIABLE))
    _is_refused(openbao, by_variable, VARIABLE, kind=ResourceMissing)
    by_file = JwtAuth(role=ROLE, mount=JWT, token=FileSource(path=jwt_file))
    _is_refused(openbao, by_file, str(jwt_file), kind=ResourceMissing)
    _is_refused(openbao, _by_file(jwt_file, ""), str(jwt_file), "empty", kind=SecretInvalid)


# Kubernetes


def _pod(path: Path, token: str, *, role: str = ROLE) -> KubernetesAuth:
    path.write_text(token)
    return KubernetesAuth(role=role, mount=KUBERNETES, token=FileSource(path=path))


def test_a_service_account(openbao: Sandbox, providers: Providers, jwt_file: Path) -> None:
    _works_for_one_run(openbao, _pod(jwt_file, providers.cluster.service_account_token(ROLE)), mount=KUBERNETES)
    assert providers.cluster.reviews, "Vault did not ask the cluster"


def test_a_pod_finds_its_token_where_kubernetes_mounts_it() -> None:
    source = KubernetesAuth(role=ROLE).token
    assert isinstance(source, FileSource)
    assert str(source.path) == "/var/run/secrets/kubernetes.io/serviceaccount/token"


def test_a_service_account_that_the_role_does_not_name(openbao: Sandbox, providers: Providers, jwt_file: Path) -> None:
    kubernetes = providers.cluster
    for token in (
        kubernetes.service_account_token("other"),
        kubernetes.service_account_token(ROLE, namespace="other"),
        kubernetes.service_account_token(ROLE, aud=["somebody-else"]),
    ):
        _is_refused(openbao, _pod(jwt_file, token), f"with role {ROLE}", "service account", secret=token)
    token = kubernetes.service_account_token(ROLE)
    _is_refused(openbao, _pod(jwt_file, token, role="nobody"), "nobody", secret=token)


def test_a_service_account_that_kubernetes_does_not_know(
    openbao: Sandbox, providers: Providers, jwt_file: Path, tmp_path: Path
) -> None:
    with cluster(tmp_path) as other:
        foreign = other.service_account_token(ROLE)
    asked = providers.cluster.reviews
    for token in (foreign, providers.cluster.service_account_token(ROLE, exp=int(time.time()) - 60)):
        _is_refused(openbao, _pod(jwt_file, token), "service account", "its log", secret=token)
    assert providers.cluster.reviews > asked, "Vault did not ask the cluster"


def test_vault_may_not_ask_kubernetes_or_cannot(
    openbao: Sandbox, providers: Providers, jwt_file: Path, tmp_path: Path
) -> None:
    admin, token = openbao.openbao.client(), providers.cluster.service_account_token(ROLE)
    with cluster(tmp_path) as down:
        config = admin.read(f"auth/{KUBERNETES}/config")["data"]
        refused = {**config, "token_reviewer_jwt": token, "kubernetes_host": providers.cluster.url}
        silent = {**config, "token_reviewer_jwt": providers.cluster.reviewer, "kubernetes_host": down.url}
    try:
        for changed in (refused, silent):
            admin.write_data(f"auth/{KUBERNETES}/config", data=changed)
            _is_refused(openbao, _pod(jwt_file, token), "cannot ask Kubernetes", secret=token)
    finally:
        admin.write_data(
            f"auth/{KUBERNETES}/config",
            data={**config, "token_reviewer_jwt": providers.cluster.reviewer, "kubernetes_host": providers.cluster.url},
        )
    _works_for_one_run(openbao, _pod(jwt_file, token), mount=KUBERNETES)


# Client certificate


@pytest.mark.parametrize("role", [ROLE, ""])
def test_a_client_certificate(openbao: Sandbox, providers: Providers, role: str) -> None:
    files = providers.clients.issue("worker")
    auth = CertificateAuth(certificate_file=files.certificate, key_file=files.key, role=role, mount=CERT)
    _works_for_one_run(openbao, auth, mount=CERT)


def test_a_client_certificate_that_the_role_does_not_admit(
    openbao: Sandbox, providers: Providers, tmp_path: Path
) -> None:
    late = providers.clients.issue("late", has_expired=True)
    for files, said in (
        (ClientAuthority(tmp_path).issue("worker"), "invalid certificate"),
        (providers.clients.issue("other"), "no chain matching"),
        (late, "has expired"),
    ):
        auth = CertificateAuth(certificate_file=files.certificate, key_file=files.key, role=ROLE, mount=CERT)
        _is_refused(openbao, auth, said, "certificate_file", f"auth/{CERT}/certs/{ROLE}")


def test_files_that_are_no_client_certificate(openbao: Sandbox, providers: Providers, tmp_path: Path) -> None:
    good, other = providers.clients.issue("worker"), providers.clients.issue("other")
    locked = providers.clients.issue("locked", password=b"a-password")
    garbage, nowhere = tmp_path / "garbage.pem", tmp_path / "nowhere.pem"
    garbage.write_text("no PEM")
    for certificate, key, kind in (
        (good.certificate, other.key, SecretInvalid),
        (garbage, good.key, SecretInvalid),
        (good.certificate, garbage, SecretInvalid),
        (locked.certificate, locked.key, SecretInvalid),
        (nowhere, good.key, ResourceMissing),
        (good.certificate, nowhere, ResourceMissing),
    ):
        auth = CertificateAuth(certificate_file=certificate, key_file=key, role=ROLE, mount=CERT)
        named = str(nowhere) if kind is ResourceMissing else str(certificate)
        _is_refused(openbao, auth, named, kind=kind, secret=good.key.read_text())
