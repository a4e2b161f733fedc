"""What botocore raises about STS, as our error tree.

Source: botocore/exceptions.py; an SSLError is a ConnectionError there too, so it is asked for first.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from pydantic import SecretStr

from holdtrue.core.redaction import redact
from holdtrue.errors import (
    AccessDenied,
    CertificateRefused,
    HoldtrueError,
    RejectedError,
    ServiceNotReady,
    ServiceUnreachable,
)
from holdtrue.runtime.tracing import span

_THROTTLED: Final = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded", "IDPCommunicationError"})
_SKEWED: Final = frozenset({"RequestExpired", "RequestTimeTooSkewed"})
_MALFORMED: Final = frozenset({"ValidationError", "MalformedPolicyDocument", "InvalidParameterValue"})
_SERVER_ERROR: Final = 500


@contextmanager
def translate(endpoint: str, timeout_seconds: float, secrets: Sequence[SecretStr], action: str) -> Iterator[None]:
    """Raise the error of our tree for whatever the body's request to STS raises, with the original as its cause."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - 0.3 s of CPU; loaded by the caller
    from botocore.parsers import ResponseParserError  # noqa: PLC0415 - same; no BotoCoreError, unlike the others

    try:
        with span(f"aws {action}", **{"aws.endpoint": endpoint}):
            yield
    except (BotoCoreError, ClientError, ResponseParserError, KeyError, ValueError) as error:
        # ValueError: a malformed endpoint. KeyError: an answer without what STS gives.
        failure = _failure(error, endpoint, timeout_seconds, action)
        what = redact(failure.what, [secret.get_secret_value() for secret in secrets])
        raise type(failure)(what, where=failure.where, next_step=failure.next_step) from error


def _failure(error: Exception, endpoint: str, timeout_seconds: float, action: str) -> HoldtrueError:
    from botocore import exceptions  # noqa: PLC0415 - loaded already

    match error:
        case exceptions.ClientError():
            return _answered(error.response, endpoint, action)
        case exceptions.SSLError() if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return CertificateRefused(
                f"could not {action}: the certificate of the AWS endpoint is not trusted here",
                where=endpoint,
                next_step="set AWS_CA_BUNDLE on the worker to the CA that signed it, or correct endpoint_url.",
            )
        case exceptions.SSLError():
            return RejectedError(
                f"could not {action}: no TLS session with the AWS endpoint",
                where=endpoint,
                next_step="it may not speak TLS on this port: correct endpoint_url of the VaultAwsCredentials block.",
            )
        case exceptions.ConnectTimeoutError() | exceptions.ReadTimeoutError():
            what = f"could not {action}: AWS STS did not answer within {timeout_seconds:g} s"
        case exceptions.ConnectionError() | exceptions.HTTPClientError():
            what = f"could not {action}: no connection to AWS STS ({type(error).__name__})"
        case _:
            return RejectedError(
                f"could not {action}: this is not an AWS STS endpoint, or the region is wrong ({type(error).__name__})",
                where=endpoint,
                next_step="correct region and endpoint_url of the VaultAwsCredentials block.",
            )
    return ServiceUnreachable(
        what, where=endpoint, next_step="check the worker's way to AWS, and endpoint_url of the block."
    )


def _answered(response: Mapping[str, object], endpoint: str, action: str) -> HoldtrueError:
    details = response.get("Error")
    code = str(details.get("Code", "")) if isinstance(details, dict) else ""
    said = str(details.get("Message", "")) if isinstance(details, dict) else ""
    metadata = response.get("ResponseMetadata")
    status = metadata.get("HTTPStatusCode", 0) if isinstance(metadata, dict) else 0
    if code in _THROTTLED or status >= _SERVER_ERROR:
        return ServiceNotReady(
            f"could not {action}: AWS STS answered {code or status}",
            where=endpoint,
            next_step="try again later; see AWS Health.",
        )
    if code in _MALFORMED:
        return RejectedError(
            f"could not {action}: {said[:300]}",
            where=endpoint,
            next_step="correct role_arn, session_name or duration_seconds of the block.",
        )
    if code in _SKEWED:
        next_step = "set the clock of this machine."
    elif code == "ExpiredToken":
        next_step = "write fresh temporary keys to the secret that the VaultAwsCredentials block points at."
    elif action == "assume the role":
        next_step = "let the role's trust policy name this identity, and allow it sts:AssumeRole."
    else:
        next_step = "write a valid, active access key to the secret that the VaultAwsCredentials block points at."
    return AccessDenied(f"AWS refused the credentials: {code or status}", where=endpoint, next_step=next_step)
