"""A role assumed by workload identity, without any stored key: by the platform's JWT, and by one that Vault signs."""

import json
import os
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from blocks.aws import VaultAwsCredentials
from blocks.vault import VaultCredentials
from holdtrue.adapters.aws import refreshing_session
from holdtrue.adapters.ledger import open_ledger
from holdtrue.credentials.aws import AssumedRole, VaultIdentity, WebIdentity
from holdtrue.credentials.logins import AppRoleAuth
from holdtrue.credentials.scope import credential_scope
from holdtrue.credentials.sources import FileSource
from holdtrue.errors import AccessDenied, HoldtrueError, ServiceNotReady
from holdtrue.models.lease import LeaseKind, LeaseState
from holdtrue.runtime.redaction import redact_text
from sandbox import Sandbox
from tests.integration.identity_providers import JwtIssuer, claims_by_key_set
from tests.integration.lease_rows import all_leases
from tests.integration.sts_front import AUDIENCE, StsFront, sts_front

ROLE = "workload-identity-test"
ROLE_ARN = f"arn:aws:iam::123456789012:role/{ROLE}"
VAULT_ROLE = "aws"
APP_ROLE = "workload-identity"
OWN_TOKEN = """
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
"""
MAY_SIGN = f'path "identity/oidc/token/{VAULT_ROLE}" {{ capabilities = ["read"] }}'


@pytest.fixture(scope="module", autouse=True)
def _role(sandbox: Sandbox) -> None:
    trusted = {"Effect": "Allow", "Principal": {"Federated": "*"}, "Action": "sts:AssumeRoleWithWebIdentity"}
    policy = {"Version": "2012-10-17", "Statement": [trusted]}
    sandbox.aws.client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(policy))


@pytest.fixture(autouse=True)
def _ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.fixture
def issuer() -> JwtIssuer:
    return JwtIssuer("https://platform.example.org")


@pytest.fixture
def platform(sandbox: Sandbox, issuer: JwtIssuer) -> Iterator[StsFront]:
    """STS that trusts the platform's issuer."""
    with sts_front(sandbox.aws, issuer.claims) as front:
        yield front


@pytest.fixture
def identity_file(tmp_path: Path, issuer: JwtIssuer) -> Path:
    file = tmp_path / "identity.jwt"
    file.write_text(issuer.sign(sub="worker", aud=AUDIENCE))
    return file


@pytest.fixture
def vault_as_issuer(sandbox: Sandbox) -> Iterator[StsFront]:
    """STS that trusts what Vault signs, by the keys that Vault publishes."""
    vault = sandbox.openbao.client()
    vault.write_data("identity/oidc/key/aws", data={"algorithm": "RS256", "allowed_client_ids": ["*"]})
    vault.write_data(f"identity/oidc/role/{VAULT_ROLE}", data={"key": "aws", "client_id": AUDIENCE, "ttl": "60s"})

    def claims(token: str) -> dict[str, Any] | None:
        published = f"{sandbox.openbao.address}/v1/identity/oidc/.well-known/keys"
        keys = requests.get(published, verify=str(sandbox.openbao.ca_file), timeout=10).json()
        return claims_by_key_set(token, keys)

    with sts_front(sandbox.aws, claims) as front:
        yield front


def _by_vault(
    sandbox: Sandbox, front: StsFront, monkeypatch: pytest.MonkeyPatch, *, rules: str = MAY_SIGN, role: str = VAULT_ROLE
) -> VaultAwsCredentials:
    openbao = sandbox.openbao
    openbao.write_policy(APP_ROLE, OWN_TOKEN + rules)
    login = openbao.issue_app_role(APP_ROLE, policy=APP_ROLE, token_ttl_seconds=60, secret_id_ttl_seconds=60)
    monkeypatch.setenv("HOLDTRUE_VAULT_SECRET_ID", login.secret_id.get_secret_value())
    auth = AppRoleAuth(role_id=login.role_id)
    vault = VaultCredentials(address=openbao.address, ca_file=openbao.ca_file, timeout_seconds=5, auth=auth)
    source = AssumedRole(role_arn=ROLE_ARN, duration_seconds=900, identity=VaultIdentity(role=role))
    return VaultAwsCredentials(vault=vault, region=sandbox.aws.region, endpoint_url=front.url, source=source)


def _by_platform(sandbox: Sandbox, front: StsFront, identity_file: Path) -> VaultAwsCredentials:
    # Nobody listens there: a platform's JWT needs no Vault.
    vault = VaultCredentials(address="https://127.0.0.1:9", auth=AppRoleAuth(role_id="unused"))
    identity = WebIdentity(token=FileSource(path=identity_file))
    source = AssumedRole(role_arn=ROLE_ARN, duration_seconds=900, identity=identity)
    return VaultAwsCredentials(vault=vault, region=sandbox.aws.region, endpoint_url=front.url, source=source)


def _refusal(aws: VaultAwsCredentials, *secrets: str) -> HoldtrueError:
    """The one error, which holds none of the secrets; nothing is left in the ledger."""
    with credential_scope(), pytest.raises(HoldtrueError) as caught:
        aws.environment()
    told = "".join(traceback.format_exception(caught.value))
    assert not [secret for secret in secrets if secret in told]
    assert open_ledger(os.environ["HOLDTRUE_LEDGER_URL"]).unsettled() == ()
    return caught.value


def test_the_platforms_jwt_gives_a_session_that_is_noted_with_its_end(
    sandbox: Sandbox, platform: StsFront, identity_file: Path
) -> None:
    aws = _by_platform(sandbox, platform, identity_file)
    token = identity_file.read_text()
    with credential_scope():
        assert ROLE in aws.session().client("sts").get_caller_identity()["Arn"]
        assert aws.model_copy().environment() == aws.environment()
        assert token not in redact_text(f"it is {token}")
    assert platform.assumed == [token], "once for the whole run"
    assert open_ledger(os.environ["HOLDTRUE_LEDGER_URL"]).unsettled() == ()
    (lease,) = all_leases()
    assert (lease.kind, lease.path, lease.state) == (LeaseKind.AWS_SESSION, ROLE_ARN, LeaseState.LEFT)
    assert lease.expires_at is not None
    assert abs(lease.expires_at - datetime.now(UTC) - timedelta(seconds=900)) < timedelta(seconds=30)


def test_a_session_past_its_end_is_assumed_again_by_the_jwt_that_is_there_then(
    sandbox: Sandbox, platform: StsFront, issuer: JwtIssuer, identity_file: Path
) -> None:
    platform.session_seconds = 3
    aws = _by_platform(sandbox, platform, identity_file)
    with credential_scope():
        first = aws.keys()
        prefects = aws.get_credentials()
        clients = [aws.session().client("sts"), prefects.get_client("sts")]
        for client in clients:
            assert ROLE in client.get_caller_identity()["Arn"]
        # The platform replaces the file before the JWT ends, as Kubernetes does with a projected one.
        identity_file.write_text(issuer.sign(sub="worker", aud=AUDIENCE, jti="2"))
        time.sleep(3.2)
        for client in (*clients, prefects.get_boto3_session().client("sts")):
            assert ROLE in client.get_caller_identity()["Arn"]
        assert aws.keys().access_key_id != first.access_key_id
    assert set(platform.assumed[1:]) == {identity_file.read_text()}


def test_the_front_refuses_keys_past_their_end(sandbox: Sandbox, platform: StsFront, identity_file: Path) -> None:
    """The control: without it, a session that is never replaced would pass the test above."""
    platform.session_seconds = 1
    with credential_scope():
        keys = _by_platform(sandbox, platform, identity_file).keys()
    kept = replace(keys, expires_at=keys.expires_at + timedelta(hours=1) if keys.expires_at else None)
    client = refreshing_session(lambda: kept, region=sandbox.aws.region, endpoint_url=platform.url).client("sts")
    time.sleep(1.2)
    with pytest.raises(ClientError, match="ExpiredToken"):
        client.get_caller_identity()


def test_a_jwt_that_the_provider_did_not_sign_is_refused(
    sandbox: Sandbox, platform: StsFront, identity_file: Path
) -> None:
    forged = JwtIssuer("https://platform.example.org").sign(sub="worker", aud=AUDIENCE)
    identity_file.write_text(forged)
    refusal = _refusal(_by_platform(sandbox, platform, identity_file), forged)
    assert isinstance(refusal, AccessDenied)
    assert platform.assumed == []


def test_a_jwt_for_somebody_else_or_past_its_end_is_refused(
    sandbox: Sandbox, platform: StsFront, issuer: JwtIssuer, identity_file: Path
) -> None:
    past = int(time.time()) - 10
    for token in (issuer.sign(sub="worker", aud="someone-else"), issuer.sign(sub="worker", aud=AUDIENCE, exp=past)):
        identity_file.write_text(token)
        assert isinstance(_refusal(_by_platform(sandbox, platform, identity_file), token), AccessDenied)
    assert platform.assumed == []


def test_a_provider_that_sts_cannot_reach_is_worth_a_retry(
    sandbox: Sandbox, platform: StsFront, identity_file: Path
) -> None:
    platform.is_silent = True
    refusal = _refusal(_by_platform(sandbox, platform, identity_file), identity_file.read_text())
    assert isinstance(refusal, ServiceNotReady)


def test_a_jwt_that_is_not_there_is_named(sandbox: Sandbox, platform: StsFront, identity_file: Path) -> None:
    aws = _by_platform(sandbox, platform, identity_file)
    identity_file.unlink()
    assert str(identity_file) in str(_refusal(aws))


def test_vault_signs_an_identity_for_which_the_role_is_given(
    sandbox: Sandbox, vault_as_issuer: StsFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = _by_vault(sandbox, vault_as_issuer, monkeypatch)
    with credential_scope():
        assert ROLE in aws.session().client("sts").get_caller_identity()["Arn"]
        (token,) = vault_as_issuer.assumed
        assert token not in redact_text(f"it is {token}")
    assert {lease.kind: lease.state for lease in all_leases()} == {
        LeaseKind.TOKEN: LeaseState.REVOKED,
        LeaseKind.AWS_SESSION: LeaseState.LEFT,
    }


def test_what_vault_lacks_for_signing_is_named(
    sandbox: Sandbox, vault_as_issuer: StsFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = _refusal(_by_vault(sandbox, vault_as_issuer, monkeypatch, rules=""))
    assert isinstance(refusal, AccessDenied)
    assert f"identity/oidc/token/{VAULT_ROLE}" in str(refusal)
    missing = 'path "identity/oidc/token/absent" { capabilities = ["read"] }'
    refusal = _refusal(_by_vault(sandbox, vault_as_issuer, monkeypatch, rules=missing, role="absent"))
    assert isinstance(refusal, HoldtrueError)
    assert "absent" in str(refusal)
