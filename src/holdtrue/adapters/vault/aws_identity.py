"""The signed request by which a worker proves to Vault who it is in AWS; Vault sends it to STS.

Sources: developer.hashicorp.com/vault/api-docs/auth/aws (login); terraform-provider-vault signs for the same endpoints.
hvac's own signer names the global endpoint for every region, which STS refuses: namecheap/node-vault-client#70.
"""

import base64
import json
from typing import Final

from holdtrue.adapters.vault.auth import AwsIam

_BODY: Final = "Action=GetCallerIdentity&Version=2011-06-15"
_GLOBAL_REGION: Final = "us-east-1"
"""The region that requests to the global endpoint are signed for."""


def signed_identity(auth: AwsIam) -> dict[str, str]:
    """The body of the login: sts:GetCallerIdentity as STS has to see it, signed now; STS takes it for 15 minutes."""
    from botocore.auth import SigV4Auth  # noqa: PLC0415 - 0.3 s that only this login pays
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - same
    from botocore.credentials import Credentials  # noqa: PLC0415 - same

    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    if auth.server_id_header:
        headers["X-Vault-AWS-IAM-Server-ID"] = auth.server_id_header
    request = AWSRequest(method="POST", url=_sts_url(auth.region), data=_BODY, headers=headers)
    token = auth.session_token.get_secret_value() if auth.session_token else None
    credentials = Credentials(auth.access_key_id, auth.secret_access_key.get_secret_value(), token)
    SigV4Auth(credentials, "sts", auth.region).add_auth(request)
    return {
        "role": auth.role,
        "iam_http_request_method": "POST",
        "iam_request_url": _encoded(_sts_url(auth.region)),
        "iam_request_body": _encoded(_BODY),
        "iam_request_headers": _encoded(json.dumps({name: [value] for name, value in request.headers.items()})),
    }


def _sts_url(region: str) -> str:
    if region == _GLOBAL_REGION:
        return "https://sts.amazonaws.com/"
    return f"https://sts.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}/"


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
