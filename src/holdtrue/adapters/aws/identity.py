"""Who a set of credentials is, which is the cheapest proof that they work."""

from collections.abc import Mapping
from typing import Final

from pydantic import SecretStr

from holdtrue.adapters.aws.failures import translate
from holdtrue.adapters.aws.keys import AwsKeys
from holdtrue.adapters.aws.roles import sts_client
from holdtrue.errors import SecretInvalid

_REQUIRED: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")


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
    values = {name: secret for name, secret in environment.items() if secret.get_secret_value()}
    missing = [name for name in _REQUIRED if name not in values]
    if missing:
        raise SecretInvalid(
            f"the cloud credentials lack {', '.join(missing)}",
            where="VaultAwsCredentials block",
            next_step="write the fields to the secret that the block points at, and set its region.",
        )
    keys = AwsKeys(
        access_key_id=values["AWS_ACCESS_KEY_ID"].get_secret_value(),
        secret_access_key=values["AWS_SECRET_ACCESS_KEY"],
        session_token=values.get("AWS_SESSION_TOKEN"),
    )
    region = values["AWS_REGION"].get_secret_value()
    endpoint_url = values["AWS_ENDPOINT_URL"].get_secret_value() if "AWS_ENDPOINT_URL" in values else None
    with translate(endpoint_url or f"AWS in {region}", timeout_seconds, keys.secrets, "ask AWS who this is"):
        client = sts_client(keys, region=region, endpoint_url=endpoint_url, timeout_seconds=timeout_seconds)
        return str(client.get_caller_identity()["Arn"])
