"""Sessions that outlive their keys, on moto behind a proxy that refuses keys which have ended, as AWS does."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from prefect_aws.client_parameters import AwsClientParameters
from prefect_aws.credentials import AwsCredentials
from pydantic import SecretStr

from blocks.prefect_aws_credentials import RefreshingAwsCredentials
from holdtrue.adapters.aws import AwsKeys, RoleSession, assume_role, refreshing_session
from holdtrue.adapters.ledger import open_ledger
from holdtrue.credentials.aws import AssumedRole, KvAwsKeys, VaultAwsCredentials
from holdtrue.credentials.logins import AppRoleAuth
from holdtrue.credentials.scope import credential_scope
from holdtrue.credentials.vault import VaultCredentials
from holdtrue.errors import AccessDenied, RejectedError, ServiceUnreachable
from holdtrue.models.lease import LeaseKind, LeaseState
from sandbox import Sandbox
from tests.integration.aws_proxy import AwsProxy, aws_proxy
from tests.integration.lease_rows import all_leases

ROLE = "refresh-test"
ROLE_ARN = f"arn:aws:iam::123456789012:role/{ROLE}"


@pytest.fixture(scope="module", autouse=True)
def _role(sandbox: Sandbox) -> None:
    trusted = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    policy = {"Version": "2012-10-17", "Statement": [trusted]}
    sandbox.aws.client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(policy))


@pytest.fixture
def proxy(sandbox: Sandbox) -> Iterator[AwsProxy]:
    with aws_proxy(sandbox.aws.endpoint_url) as forwarding:
        yield forwarding


@dataclass
class Clock:
    """Time that a test moves."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Role:
    """Assumes the role, and counts how often."""

    sandbox: Sandbox
    endpoint_url: str
    clock: Clock
    issued: list[AwsKeys] = field(default_factory=list)

    def fetch(self) -> AwsKeys:
        base = AwsKeys(self.sandbox.aws.access_key_id, self.sandbox.aws.secret_access_key)
        wanted = RoleSession(ROLE_ARN, "refresh-test", 900, self.sandbox.aws.region, self.endpoint_url)
        # By the test's clock, because moto counts from the real one.
        self.issued.append(replace(assume_role(base, wanted), expires_at=self.clock() + timedelta(seconds=900)))
        return self.issued[-1]


def test_a_session_past_its_end_goes_on_and_prefects_own_block_does_not(sandbox: Sandbox, proxy: AwsProxy) -> None:
    clock = Clock()
    role = Role(sandbox, proxy.url, clock)
    session = refreshing_session(role.fetch, region=sandbox.aws.region, endpoint_url=proxy.url, now=clock)
    ours = RefreshingAwsCredentials.around(session, sandbox.aws.region, proxy.url)
    (keys,) = role.issued
    assert keys.session_token is not None
    theirs = AwsCredentials(
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        aws_session_token=keys.session_token.get_secret_value(),
        region_name=sandbox.aws.region,
        aws_client_parameters=AwsClientParameters(endpoint_url=proxy.url),
    )
    clients = {"ours": ours.get_client("sts"), "theirs": theirs.get_client("sts")}
    for client in clients.values():
        assert ROLE in client.get_caller_identity()["Arn"]
    clock.now += timedelta(seconds=901)
    proxy.expired.add(keys.access_key_id)
    assert ROLE in clients["ours"].get_caller_identity()["Arn"]
    assert ROLE in ours.get_client("sts").get_caller_identity()["Arn"]
    assert len(role.issued) == 2
    with pytest.raises(ClientError, match="ExpiredToken"):
        clients["theirs"].get_caller_identity()
    with pytest.raises(ClientError, match="ExpiredToken"):
        theirs.get_boto3_session().client("sts", endpoint_url=proxy.url).get_caller_identity()


def test_many_threads_at_the_end_refresh_once(sandbox: Sandbox, proxy: AwsProxy) -> None:
    clock = Clock()
    role = Role(sandbox, proxy.url, clock)
    client = refreshing_session(role.fetch, region=sandbox.aws.region, endpoint_url=proxy.url, now=clock).client("sts")
    clock.now += timedelta(seconds=901)
    proxy.expired.add(role.issued[0].access_key_id)
    with ThreadPoolExecutor(16) as pool:
        arns = list(pool.map(lambda _: client.get_caller_identity()["Arn"], range(16)))
    assert len(arns) == 16
    assert len(role.issued) == 2


def test_a_refresh_that_fails_is_our_error_and_the_next_call_tries_again(sandbox: Sandbox, proxy: AwsProxy) -> None:
    clock = Clock()
    role = Role(sandbox, proxy.url, clock)
    client = refreshing_session(role.fetch, region=sandbox.aws.region, endpoint_url=proxy.url, now=clock).client("sts")
    clock.now += timedelta(seconds=901)
    role.endpoint_url = "http://127.0.0.1:9"
    with pytest.raises(ServiceUnreachable):
        client.get_caller_identity()
    role.endpoint_url = proxy.url
    assert client.get_caller_identity()["Arn"]


def test_keys_that_do_not_exist_may_not_assume(sandbox: Sandbox) -> None:
    wanted = RoleSession(ROLE_ARN, "refresh-test", 900, sandbox.aws.region, sandbox.aws.endpoint_url)
    with pytest.raises(AccessDenied) as caught:
        assume_role(AwsKeys("AKIANOSUCHKEY", SecretStr("no-such-secret-key")), wanted)
    assert "no-such-secret-key" not in str(caught.value)


def test_a_roles_session_is_shared_by_the_run_and_named_in_the_ledger(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.setenv("HOLDTRUE_VAULT_SECRET_ID", sandbox.openbao.secret_id.get_secret_value())
    vault = VaultCredentials(
        address=sandbox.openbao.address,
        ca_file=sandbox.openbao.ca_file,
        auth=AppRoleAuth(role_id=sandbox.openbao.role_id),
    )
    source = AssumedRole(role_arn=ROLE_ARN, duration_seconds=900, identity=KvAwsKeys(path="holdtrue/aws"))
    aws = VaultAwsCredentials(
        vault=vault, region=sandbox.aws.region, endpoint_url=sandbox.aws.endpoint_url, source=source
    )
    with credential_scope():
        first = aws.environment(minimum_seconds=600)
        assert aws.model_copy().environment() == first
        assert ROLE in aws.session().client("sts").get_caller_identity()["Arn"]
        with pytest.raises(RejectedError, match="3600 s"):
            aws.environment(minimum_seconds=3600)
    assert open_ledger(os.environ["HOLDTRUE_LEDGER_URL"]).unsettled() == ()
    left = [lease for lease in all_leases() if lease.state is LeaseState.LEFT]
    assert {(lease.kind, lease.path) for lease in left} == {(LeaseKind.AWS_SESSION, ROLE_ARN)}
