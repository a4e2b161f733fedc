"""What only HashiCorp Vault has, against its documented contract: logins by AWS identity, and the AWS engine's keys."""

import base64
import json
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import pytest
import requests
from botocore.exceptions import ClientError

from blocks.aws import VaultAwsCredentials as AwsBlock
from blocks.vault import VaultCredentials as VaultBlock
from holdtrue.adapters.aws import AwsKeys, RoleSession, assume_role
from holdtrue.adapters.ledger import open_ledger
from holdtrue.adapters.vault.auth import AwsIam
from holdtrue.adapters.vault.aws_identity import signed_identity
from holdtrue.credentials.aws import EngineAwsKeys, VaultAwsCredentials
from holdtrue.credentials.logins import AwsIamAuth
from holdtrue.credentials.scope import credential_scope, current_scope
from holdtrue.credentials.sweep import sweep
from holdtrue.credentials.vault import VaultCredentials
from holdtrue.errors import AccessDenied, HoldtrueError, RejectedError, ResourceMissing
from holdtrue.models.lease import LeaseKind, LeaseLedger, LeaseState
from holdtrue.models.sweep import SweepOutcome
from sandbox import Sandbox
from tests.integration.aws_proxy import aws_proxy
from tests.integration.lease_rows import all_leases
from tests.integration.vault_contract import Asked, Refused
from tests.integration.vault_contract_aws import AwsContract, Roles, aws_contract

ROLE = "vault-contract-test"
ROLE_ARN = f"arn:aws:iam::123456789012:role/{ROLE}"
USER_ARN = "arn:aws:iam::123456789012:user/holdtrue"
ROLES = Roles(bound_arn=USER_ARN, assumed_arn=ROLE_ARN)
REGION = "eu-central-1"


@pytest.fixture(scope="module", autouse=True)
def _role(sandbox: Sandbox) -> None:
    trusted = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    policy = {"Version": "2012-10-17", "Statement": [trusted]}
    sandbox.aws.client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(policy))


@pytest.fixture
def contract(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsContract]:
    """The server, with this process as a worker that has the sandbox's AWS identity."""
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", sandbox.aws.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", sandbox.aws.secret_access_key.get_secret_value())
    with aws_contract(sandbox.aws, ROLES) as running:
        yield running


def _auth(**changed: str) -> AwsIamAuth:
    wanted = {"role": ROLES.login_role, "region": REGION, "server_id_header": ROLES.server_id} | changed
    return AwsIamAuth.model_validate(wanted)


def _vault(contract: AwsContract, **changed: str) -> VaultCredentials:
    return VaultCredentials(address=contract.vault.url, timeout_seconds=5, auth=_auth(**changed))


def _ledger() -> LeaseLedger:
    return open_ledger(os.environ["HOLDTRUE_LEDGER_URL"])


# The login


@pytest.mark.parametrize("region", ["us-east-1", REGION])
def test_the_workers_aws_identity_logs_in(contract: AwsContract, region: str) -> None:
    with credential_scope():
        session = _vault(contract, region=region).connect().session()
        assert session.is_alive()
        assert session.renew(60) == 60
        ((lease,),) = (holding.leases for holding in _ledger().unsettled())
        assert (lease.kind, lease.state, lease.path) == (LeaseKind.TOKEN, LeaseState.HELD, "auth/aws/login")
        assert contract.vault.accessors == {lease.reference} == {session.accessor}
    assert contract.vault.accessors == frozenset()
    assert _ledger().unsettled() == ()


def test_a_session_of_a_role_logs_in(sandbox: Sandbox, contract: AwsContract, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = _session_keys(sandbox)
    assert keys.session_token is not None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys.secret_access_key.get_secret_value())
    monkeypatch.setenv("AWS_SESSION_TOKEN", keys.session_token.get_secret_value())
    contract.roles = replace(ROLES, bound_arn=ROLE_ARN)
    with credential_scope():
        assert _vault(contract).connect().session().is_alive()
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session-token-of-nobody")
    _is_refused(_vault(contract), "from STS", secret="session-token-of-nobody")


def _session_keys(sandbox: Sandbox) -> AwsKeys:
    base = AwsKeys(sandbox.aws.access_key_id, sandbox.aws.secret_access_key)
    return assume_role(base, RoleSession(ROLE_ARN, "contract-test", 900, REGION, sandbox.aws.endpoint_url))


def _is_refused(
    vault: VaultCredentials, *named: str, secret: str = "", kind: type[HoldtrueError] = AccessDenied
) -> None:
    with credential_scope(), pytest.raises(HoldtrueError) as caught:
        vault.connect().session()
    assert type(caught.value) is kind, caught.value
    assert caught.value.where
    assert caught.value.next_step
    assert [text for text in named if text not in str(caught.value)] == []
    everything = "".join(traceback.format_exception(caught.value))
    secrets = [secret, os.environ.get("AWS_SECRET_ACCESS_KEY", "")]
    assert [value for value in secrets if value and value in everything] == []
    assert _ledger().unsettled() == ()


def test_a_wrong_key_and_an_unknown_one(contract: AwsContract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-key-of-the-worker")
    _is_refused(_vault(contract), "from STS", "bound to the worker's AWS identity")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOSUCHKEY1234567")
    _is_refused(_vault(contract), "from STS")


def test_another_server_id_or_none(contract: AwsContract) -> None:
    _is_refused(_vault(contract, server_id_header="other.example.org"), "Server-ID", "server_id_header of the block")
    _is_refused(_vault(contract, server_id_header=""), "missing header", "server_id_header of the block")
    contract.roles = replace(ROLES, server_id="")
    with credential_scope():
        assert _vault(contract, server_id_header="").connect().session().is_alive()


def test_an_identity_and_a_role_that_do_not_belong_together(contract: AwsContract) -> None:
    _is_refused(_vault(contract, role="nobody"), "with role nobody", "not found")
    contract.roles = replace(ROLES, bound_arn=ROLE_ARN)
    _is_refused(_vault(contract), "does not belong to the role", f"auth/aws/role/{ROLES.login_role}")


def test_a_worker_without_an_aws_identity(contract: AwsContract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    _is_refused(_vault(contract), "instance profile", kind=ResourceMissing)
    assert "auth/aws/login" not in contract.vault.asked


def test_the_contract_refuses_what_vault_refuses(sandbox: Sandbox, contract: AwsContract) -> None:
    keys = AwsIam("worker", sandbox.aws.access_key_id, sandbox.aws.secret_access_key, None, REGION, "vault.example.org")
    good = signed_identity(keys)
    unsigned = signed_identity(replace(keys, server_id_header=""))
    headers = json.loads(base64.b64decode(unsigned["iam_request_headers"]))
    headers["X-Vault-AWS-IAM-Server-ID"] = ["vault.example.org"]
    added = base64.b64encode(json.dumps(headers).encode()).decode()
    elsewhere = base64.b64encode(b"https://sts.amazonaws.com/").decode()
    for body, said in (
        (good | {"iam_request_headers": added}, "wasn't signed"),
        (good | {"iam_request_url": elsewhere}, "valid region"),
        (good | {"iam_request_body": base64.b64encode(b"Action=GetSessionToken").decode()}, "403 from STS"),
        (good | {"iam_request_url": ""}, "missing iam_request_url"),
    ):
        answer = requests.post(f"{contract.vault.url}/v1/auth/aws/login", json=body, timeout=5)
        assert answer.status_code == HTTPStatus.BAD_REQUEST
        assert said in answer.text
    assert requests.post(f"{contract.vault.url}/v1/auth/aws/login", json=good, timeout=5).ok


# The engine


def _engine(contract: AwsContract, endpoint_url: str, **source: object) -> VaultAwsCredentials:
    wanted = {"role": ROLES.engine_role, **source}
    return VaultAwsCredentials(
        vault=_vault(contract),
        region=REGION,
        endpoint_url=endpoint_url,
        source=EngineAwsKeys.model_validate(wanted),
    )


def test_a_user_for_one_run(sandbox: Sandbox, contract: AwsContract) -> None:
    aws = _engine(contract, sandbox.aws.endpoint_url, type="creds")
    with credential_scope():
        client = aws.session().client("sts")
        arn = client.get_caller_identity()["Arn"]
        assert ":user/vault-" in arn
        variables = aws.environment()
        assert "AWS_SESSION_TOKEN" not in variables
        assert aws.session().client("sts").get_caller_identity()["Arn"] == arn, "one user for the whole run"
        _, lease = next(holding.leases for holding in _ledger().unsettled())
        assert (lease.kind, lease.state, lease.path) == (LeaseKind.SECRET, LeaseState.HELD, "aws/creds/deployer")
        assert contract.vault.leases == {lease.reference}
    assert contract.vault.leases == contract.vault.accessors == frozenset()
    assert contract.vault.asked[-2:] == ["sys/leases/revoke", "auth/token/revoke-self"]
    assert _ledger().unsettled() == ()
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        client.get_caller_identity()


def test_a_users_lease_is_renewed_as_long_as_the_run_lasts(sandbox: Sandbox, contract: AwsContract) -> None:
    contract.roles = replace(ROLES, user_seconds=2)
    with credential_scope():
        client = _engine(contract, sandbox.aws.endpoint_url, type="creds").session().client("sts")
        arn = client.get_caller_identity()["Arn"]
        time.sleep(3)
        assert client.get_caller_identity()["Arn"] == arn
    assert contract.vault.asked.count("aws/creds/deployer") == 1
    assert "sys/leases/renew" in contract.vault.asked


def test_a_user_whose_lease_cannot_be_renewed_is_replaced_within_a_long_flow(
    sandbox: Sandbox, contract: AwsContract
) -> None:
    contract.roles = replace(ROLES, user_seconds=3)
    contract.vault.routes["sys/leases/renew"] = _unavailable
    aws = _engine(contract, sandbox.aws.endpoint_url, type="creds")
    with credential_scope():
        client = aws.session().client("sts")
        arn = client.get_caller_identity()["Arn"]
        assert aws.environment(minimum_seconds=3600), "a lease that may be renewed ends with the run"
        time.sleep(3.2)
        assert client.get_caller_identity()["Arn"] != arn
        assert contract.vault.asked.count("aws/creds/deployer") == 2
    assert contract.vault.leases == frozenset()


def test_a_session_is_left_to_its_own_end(sandbox: Sandbox, contract: AwsContract) -> None:
    aws = _engine(contract, sandbox.aws.endpoint_url, ttl_seconds=900)
    with credential_scope():
        assert ROLE in aws.session().client("sts").get_caller_identity()["Arn"]
        assert aws.environment(minimum_seconds=600)["AWS_SESSION_TOKEN"].get_secret_value()
        with pytest.raises(RejectedError, match="3600 s"):
            aws.environment(minimum_seconds=3600)
    ends = datetime.now(UTC) + timedelta(seconds=900)
    sessions = [lease for lease in all_leases() if lease.kind is LeaseKind.AWS_SESSION]
    assert {(lease.path, lease.state) for lease in sessions} == {("aws/sts/deployer", LeaseState.LEFT)}
    for lease in sessions:
        assert lease.expires_at is not None
        assert abs(lease.expires_at - ends) < timedelta(seconds=60)
    assert _ledger().unsettled() == ()
    with credential_scope():
        assert sweep(current_scope().ledger(), [_vault(contract)]).leases == ()
    assert "sys/leases/revoke" not in contract.vault.asked


def test_a_session_is_replaced_before_it_ends_in_boto3_and_in_prefects_block(
    sandbox: Sandbox, contract: AwsContract
) -> None:
    contract.roles = replace(ROLES, session_seconds=3)
    vault = VaultBlock(address=contract.vault.url, timeout_seconds=5, auth=_auth())
    with aws_proxy(sandbox.aws.endpoint_url) as proxy, credential_scope():
        source = EngineAwsKeys(role=ROLES.engine_role, ttl_seconds=900)
        aws = AwsBlock(vault=vault, region=REGION, endpoint_url=proxy.url, source=source)
        first = aws.keys()
        prefects = aws.get_credentials()
        clients = [aws.session().client("sts"), prefects.get_client("sts")]
        for client in clients:
            assert ROLE in client.get_caller_identity()["Arn"]
        time.sleep(3.2)
        proxy.expired.add(first.access_key_id)
        for client in (*clients, prefects.get_boto3_session().client("sts")):
            assert ROLE in client.get_caller_identity()["Arn"]
        assert first.secret_access_key.get_secret_value() not in f"{prefects!r} {prefects.model_dump()}"
    assert contract.vault.asked.count("aws/sts/deployer") >= 2
    assert contract.vault.asked.count("auth/aws/login") == 1


def test_a_dead_runs_user_is_swept(sandbox: Sandbox, contract: AwsContract) -> None:
    aws = _engine(contract, sandbox.aws.endpoint_url, type="creds")
    with credential_scope():
        client = aws.session().client("sts")
        (lease_id,) = contract.vault.leases
        (accessor,) = contract.vault.accessors
        revoke_lease, revoke_token = (
            contract.vault.routes[path] for path in ("sys/leases/revoke", "auth/token/revoke-self")
        )
        contract.vault.routes |= dict.fromkeys(("sys/leases/revoke", "auth/token/revoke-self"), _unavailable)
    contract.vault.routes |= {"sys/leases/revoke": revoke_lease, "auth/token/revoke-self": revoke_token}
    assert client.get_caller_identity()
    with credential_scope():
        report = sweep(current_scope().ledger(), [_vault(contract)])
    assert {(lease.outcome, lease.reference) for lease in report.leases} == {
        (SweepOutcome.REVOKED, lease_id),
        (SweepOutcome.REVOKED, accessor),
    }
    assert contract.vault.leases == frozenset()
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        client.get_caller_identity()


def _unavailable(_: Asked) -> None:
    raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "Vault is sealed")


@pytest.mark.parametrize("kind", ["creds", "sts"])
def test_a_role_of_the_engine_that_is_not_there(sandbox: Sandbox, contract: AwsContract, kind: str) -> None:
    aws = _engine(contract, sandbox.aws.endpoint_url, type=kind, role="nobody")
    with credential_scope(), _says(ResourceMissing, "nobody", f"aws/{kind}/nobody"):
        aws.keys()
    assert _ledger().unsettled() == ()


def test_a_role_that_the_engine_may_not_assume(sandbox: Sandbox, contract: AwsContract) -> None:
    aws = _engine(contract, sandbox.aws.endpoint_url, role_arn="arn:aws:iam::123456789012:role/other")
    with credential_scope(), _says(RejectedError, "role/other", "not in allowed role arns"):
        aws.keys()


def _says(kind: type[HoldtrueError], *texts: str) -> AbstractContextManager[object]:
    return pytest.raises(kind, match=".*".join(texts))
