"""Roles assumed at AWS STS. What it gives lives until its end: nobody can revoke it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from holdtrue.adapters.aws.failures import translate
from holdtrue.adapters.aws.keys import AwsKeys
from holdtrue.adapters.aws.sessions import bare_session

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient
    from mypy_boto3_sts.type_defs import CredentialsTypeDef

TIMEOUT_SECONDS: Final = 10.0
"""For a connection to STS, and then for its answer."""


@dataclass(frozen=True, slots=True)
class RoleSession:
    """What is asked for."""

    role_arn: str
    session_name: str
    """Shows in CloudTrail."""
    duration_seconds: int
    region: str
    endpoint_url: str | None = None


def assume_role(base: AwsKeys, wanted: RoleSession) -> AwsKeys:
    """Temporary keys of a role, by long-lived keys that may assume it.

    Raises:
        AccessDenied: the keys are refused, or the role does not trust them.
        RejectedError: the duration is above the role's maximum, or a name is malformed.
        ServiceUnreachable, ServiceNotReady, CertificateRefused: see the message.
    """
    return _assumed(
        wanted,
        base,
        base.secrets,
        lambda client: client.assume_role(
            RoleArn=wanted.role_arn, RoleSessionName=wanted.session_name, DurationSeconds=wanted.duration_seconds
        )["Credentials"],
    )


def assume_role_with_web_identity(token: SecretStr, wanted: RoleSession) -> AwsKeys:
    """Temporary keys of a role, by the JWT of a workload identity that it trusts; raises what `assume_role` does."""
    return _assumed(
        wanted,
        None,
        (token,),
        lambda client: client.assume_role_with_web_identity(
            RoleArn=wanted.role_arn,
            RoleSessionName=wanted.session_name,
            DurationSeconds=wanted.duration_seconds,
            WebIdentityToken=token.get_secret_value(),
        )["Credentials"],
    )


def sts_client(keys: AwsKeys | None, *, region: str, endpoint_url: str | None, timeout_seconds: float) -> "STSClient":
    """A client of STS with these keys; None for the one request that is not signed."""
    import boto3  # noqa: PLC0415 - see the package's docstring
    from botocore import UNSIGNED  # noqa: PLC0415 - same
    from botocore.config import Config  # noqa: PLC0415 - same

    config = Config(
        connect_timeout=timeout_seconds,
        read_timeout=timeout_seconds,
        # One attempt in all: retrying is the task's business, and botocore's default of 4 multiplies the timeout.
        retries={"total_max_attempts": 1, "mode": "standard"},
        **({} if keys else {"signature_version": UNSIGNED}),
    )
    signed = (
        {
            "aws_access_key_id": keys.access_key_id,
            "aws_secret_access_key": keys.secret_access_key.get_secret_value(),
            "aws_session_token": keys.session_token.get_secret_value() if keys.session_token else None,
        }
        if keys
        else {}
    )
    session = boto3.Session(region_name=region, botocore_session=bare_session(), **signed)
    return session.client("sts", endpoint_url=endpoint_url, config=config)


def _assumed(
    wanted: RoleSession,
    keys: AwsKeys | None,
    secrets: tuple[SecretStr, ...],
    request: Callable[["STSClient"], "CredentialsTypeDef"],
) -> AwsKeys:
    with translate(wanted.endpoint_url or f"AWS in {wanted.region}", TIMEOUT_SECONDS, secrets, "assume the role"):
        issued = request(
            sts_client(keys, region=wanted.region, endpoint_url=wanted.endpoint_url, timeout_seconds=TIMEOUT_SECONDS)
        )
        return AwsKeys(
            access_key_id=issued["AccessKeyId"],
            secret_access_key=SecretStr(issued["SecretAccessKey"]),
            session_token=SecretStr(issued["SessionToken"]),
            expires_at=issued["Expiration"],
        )
