"""AWS STS by boto3: who a set of credentials is, which is the cheapest proof that they work."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from holdtrue.core.redaction import redact
from holdtrue.errors import (
    AccessDenied,
    CertificateRefused,
    HoldtrueError,
    RejectedError,
    SecretInvalid,
    ServiceNotReady,
    ServiceUnreachable,
)
from holdtrue.runtime.tracing import span

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient

_REQUIRED: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
_THROTTLED: Final = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded"})
_SKEWED: Final = frozenset({"RequestExpired", "RequestTimeTooSkewed"})
_SERVER_ERROR: Final = 500


def caller_identity(environment: Mapping[str, SecretStr], *, timeout_seconds: float) -> str:
    """The ARN that the AWS_* variables in `environment` stand for; needs no permission in AWS.

    Only the mapping counts: neither this process's AWS_* variables nor ~/.aws are read.

    Args:
        environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION; AWS_SESSION_TOKEN and AWS_ENDPOINT_URL
            where they apply.
        timeout_seconds: For the connection, and then for the answer.

    Raises:
        SecretInvalid: a required variable is missing or empty.
        AccessDenied: the key is unknown, wrong, disabled or expired.
        ServiceUnreachable, ServiceNotReady: no answer, or one that says to come back later.
        CertificateRefused: the endpoint's certificate is not trusted.
        RejectedError: the region or endpoint is malformed, or what answers is not STS.
    """
    values = {name: secret.get_secret_value() for name, secret in environment.items() if secret.get_secret_value()}
    missing = [name for name in _REQUIRED if name not in values]
    if missing:
        raise SecretInvalid(
            f"the cloud credentials lack {', '.join(missing)}",
            where="VaultAwsCredentials block",
            next_step="write the fields to the secret that the block points at, and set its region.",
        )
    endpoint = values.get("AWS_ENDPOINT_URL") or f"AWS in {values['AWS_REGION']}"
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - 0.3 s of CPU
    from botocore.parsers import ResponseParserError  # noqa: PLC0415 - same; no BotoCoreError, unlike the others

    try:
        with span("aws get caller identity", **{"aws.region": values["AWS_REGION"]}):
            return str(_client(values, timeout_seconds).get_caller_identity()["Arn"])
    except (BotoCoreError, ClientError, ResponseParserError, KeyError, ValueError) as error:
        # ValueError: a malformed endpoint. KeyError: an answer without an ARN.
        failure = _failure(error, endpoint, timeout_seconds)
        what = redact(failure.what, (values["AWS_SECRET_ACCESS_KEY"], values.get("AWS_SESSION_TOKEN", "")))
        raise type(failure)(what, where=failure.where, next_step=failure.next_step) from error


def _client(values: Mapping[str, str], timeout_seconds: float) -> "STSClient":
    import boto3  # noqa: PLC0415 - 0.3 s of CPU that only this call pays
    import botocore.session  # noqa: PLC0415 - same
    from botocore.config import Config  # noqa: PLC0415 - same

    session = botocore.session.Session({"profile": (None, [], None, None)})
    session.set_config_variable("config_file", os.devnull)
    session.set_config_variable("credentials_file", os.devnull)
    session.set_config_variable("ignore_configured_endpoint_urls", True)  # noqa: FBT003 - botocore's signature
    config = Config(
        connect_timeout=timeout_seconds,
        read_timeout=timeout_seconds,
        # One attempt in all: retrying is the task's business, and botocore's default of 4 multiplies the timeout.
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    return boto3.Session(
        aws_access_key_id=values["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=values["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=values.get("AWS_SESSION_TOKEN"),
        region_name=values["AWS_REGION"],
        botocore_session=session,
    ).client("sts", endpoint_url=values.get("AWS_ENDPOINT_URL"), config=config)


def _failure(error: Exception, endpoint: str, timeout_seconds: float) -> HoldtrueError:
    """Source: botocore/exceptions.py; an SSLError is a ConnectionError there too, so it is asked for first."""
    from botocore import exceptions  # noqa: PLC0415 - loaded already

    match error:
        case exceptions.ClientError():
            return _answered(error.response, endpoint)
        case exceptions.SSLError() if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return CertificateRefused(
                "the certificate of the AWS endpoint is not trusted here",
                where=endpoint,
                next_step="set AWS_CA_BUNDLE on the worker to the CA that signed it, or correct endpoint_url.",
            )
        case exceptions.SSLError():
            return RejectedError(
                "no TLS session with the AWS endpoint",
                where=endpoint,
                next_step="it may not speak TLS on this port: correct endpoint_url of the VaultAwsCredentials block.",
            )
        case exceptions.ConnectTimeoutError() | exceptions.ReadTimeoutError():
            what = f"AWS STS did not answer within {timeout_seconds:g} s"
        case exceptions.ConnectionError() | exceptions.HTTPClientError():
            what = f"no connection to AWS STS ({type(error).__name__})"
        case _:
            return RejectedError(
                f"this is not an AWS STS endpoint, or the region is wrong ({type(error).__name__})",
                where=endpoint,
                next_step="correct region and endpoint_url of the VaultAwsCredentials block.",
            )
    return ServiceUnreachable(
        what, where=endpoint, next_step="check the worker's way to AWS, and endpoint_url of the block."
    )


def _answered(response: Mapping[str, object], endpoint: str) -> HoldtrueError:
    details = response.get("Error")
    code = str(details.get("Code", "")) if isinstance(details, dict) else ""
    metadata = response.get("ResponseMetadata")
    status = metadata.get("HTTPStatusCode", 0) if isinstance(metadata, dict) else 0
    if code in _THROTTLED or status >= _SERVER_ERROR:
        return ServiceNotReady(
            f"AWS STS answered {code or status}", where=endpoint, next_step="try again later; see AWS Health."
        )
    if code in _SKEWED:
        next_step = "set the clock of this machine."
    elif code == "ExpiredToken":
        next_step = "write fresh temporary keys to the secret that the VaultAwsCredentials block points at."
    else:
        next_step = "write a valid, active access key to the secret that the VaultAwsCredentials block points at."
    return AccessDenied(f"AWS refused the credentials: {code or status}", where=endpoint, next_step=next_step)
