"""HashiCorp Vault's AWS auth method and AWS secrets engine, answered as HashiCorp documents them.

Sources: developer.hashicorp.com/vault/api-docs/auth/aws and .../secret/aws; the texts of refusals are those of
builtin/credential/aws/path_login.go and builtin/logical/aws in hashicorp/vault. The AWS behind it is moto, which checks
signatures: as Vault does, the login sends the worker's own signed request to STS and takes its word.
"""

import base64
import http.client
import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from sandbox.aws import MotoAws
from tests.integration.vault_contract import Asked, Refused, VaultContract

SERVER_ID_HEADER: Final = "X-Vault-AWS-IAM-Server-ID"
_SIGNED: Final = re.compile(r"Credential=\w+/\d{8}/([a-z0-9-]+)/sts/aws4_request, SignedHeaders=([a-z0-9;-]+),")
_REQUEST: Final = ("iam_http_request_method", "iam_request_url", "iam_request_body", "iam_request_headers")
_WRONG_REGION: Final = (
    '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
    "<Code>SignatureDoesNotMatch</Code><Message>Credential should be scoped to a valid region.</Message></Error>"
    "</ErrorResponse>"
)


@dataclass(frozen=True, slots=True)
class Roles:
    """What an operator has configured.

    Attributes:
        bound_arn: The only AWS principal that the role of the auth method admits.
        assumed_arn: The AWS role whose sessions the engine gives.
        server_id: `iam_server_id_header_value` of `auth/aws/config/client`; empty asks for none.
        login_role: The role of the auth method.
        engine_role: The role of the engine, for users (`creds`) as for sessions (`sts`).
        token_seconds: Lifetime of a token.
        user_seconds: Lifetime of a user's lease.
        user_max_seconds: How long it can be renewed.
        session_seconds: Longest life of a session.
    """

    bound_arn: str
    assumed_arn: str
    server_id: str = "vault.example.org"
    login_role: str = "worker"
    engine_role: str = "deployer"
    token_seconds: int = 300
    user_seconds: int = 600
    user_max_seconds: int = 3600
    session_seconds: int = 43_200


class AwsContract:
    """The two mounts `auth/aws/` and `aws/` of a server.

    Attributes:
        vault: The server.
        roles: The configuration; replace it to change the operator's mind.
    """

    def __init__(self, vault: VaultContract, aws: MotoAws, roles: Roles) -> None:
        self.vault = vault
        self.roles = roles
        self._aws = aws
        vault.logins["auth/aws/login"] = self._login
        vault.routes["aws/creds"] = self._user
        vault.routes["aws/sts"] = self._session

    def _login(self, asked: Asked) -> dict[str, Any]:
        for name in _REQUEST:
            if not asked.body.get(name):
                raise Refused(HTTPStatus.BAD_REQUEST, f"missing {name}")
        url, body, headers = (base64.b64decode(asked.body[name]).decode() for name in _REQUEST[1:])
        arn = self._caller(asked.body[_REQUEST[0]], url, body, {k: ",".join(v) for k, v in json.loads(headers).items()})
        role = asked.body.get("role")
        if role != self.roles.login_role:
            raise Refused(HTTPStatus.BAD_REQUEST, f"entry for role {role} not found")
        # A session counts as its role.
        if re.sub(r":sts::(\d+):assumed-role/([^/]+)/.*", r":iam::\1:role/\2", arn) != self.roles.bound_arn:
            raise Refused(HTTPStatus.BAD_REQUEST, f'IAM Principal "{arn}" does not belong to the role "{role}"')
        return {"auth": self.vault.grant(self.roles.token_seconds, 10 * self.roles.token_seconds)}

    def _caller(self, method: str, url: str, body: str, headers: dict[str, str]) -> str:
        signed = _SIGNED.search(headers.get("Authorization", ""))
        if problem := self._server_id_problem(headers, signed[2].split(";") if signed else []):
            raise Refused(HTTPStatus.BAD_REQUEST, f"error validating {SERVER_ID_HEADER} header: {problem}")
        host = urlsplit(url).netloc
        region = (
            "us-east-1" if host == "sts.amazonaws.com" else host.removeprefix("sts.").removesuffix(".amazonaws.com")
        )
        if signed is None or signed[1] != region:
            # Each endpoint of STS takes signatures for its own region only.
            status, said = int(HTTPStatus.FORBIDDEN), _WRONG_REGION
        else:
            status, said = self._ask_sts(method, body, headers | {"Host": host})
        if status != HTTPStatus.OK:
            upstream = f"error making upstream request: received error code {status} from STS: {said}"
            raise Refused(HTTPStatus.BAD_REQUEST, upstream)
        return str(re.findall(r"<Arn>([^<]+)</Arn>", said)[0])

    def _server_id_problem(self, headers: dict[str, str], signed: list[str]) -> str:
        wanted = self.roles.server_id
        given = {name.lower(): value for name, value in headers.items()}.get(SERVER_ID_HEADER.lower(), "")
        if not wanted:
            return ""
        if not given:
            return f'missing header "{SERVER_ID_HEADER}"'
        if given != wanted:
            return f'expected "{wanted}" but got "{given}"'
        return "" if SERVER_ID_HEADER.lower() in signed else "vault header wasn't signed"

    def _ask_sts(self, method: str, body: str, headers: dict[str, str]) -> tuple[int, str]:
        connection = http.client.HTTPConnection(urlsplit(self._aws.endpoint_url).netloc, timeout=10)
        try:
            connection.request(method, "/", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def _user(self, asked: Asked) -> dict[str, Any]:
        self._check_role(asked)
        iam, name = self._aws.client("iam"), f"vault-{secrets.token_hex(8)}"
        iam.create_user(UserName=name)
        allowed = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_user_policy(UserName=name, PolicyName="vault", PolicyDocument=policy)
        pair = iam.create_access_key(UserName=name)["AccessKey"]

        def delete() -> None:
            iam.delete_access_key(UserName=name, AccessKeyId=pair["AccessKeyId"])
            iam.delete_user_policy(UserName=name, PolicyName="vault")
            iam.delete_user(UserName=name)

        data = {"access_key": pair["AccessKeyId"], "secret_key": pair["SecretAccessKey"], "security_token": None}
        return self.vault.lease(asked, data, self.roles.user_seconds, self.roles.user_max_seconds, delete)

    def _session(self, asked: Asked) -> dict[str, Any]:
        self._check_role(asked)
        arn = asked.body.get("role_arn") or self.roles.assumed_arn
        if arn != self.roles.assumed_arn:
            refusal = f'role_arn "{arn}" not in allowed role arns for Vault role "{self.roles.engine_role}"'
            raise Refused(HTTPStatus.BAD_REQUEST, refusal)
        wanted = int(str(asked.body.get("ttl", "3600s")).removesuffix("s"))
        session = self._aws.client("sts").assume_role(RoleArn=arn, RoleSessionName="vault", DurationSeconds=wanted)
        keys = session["Credentials"]
        data = {
            "access_key": keys["AccessKeyId"],
            "secret_key": keys["SecretAccessKey"],
            "security_token": keys["SessionToken"],
            "arn": session["AssumedRoleUser"]["Arn"],
        }
        seconds = min(wanted, self.roles.session_seconds)
        return self.vault.lease(asked, data, seconds, seconds)

    def _check_role(self, asked: Asked) -> None:
        role = asked.path.rpartition("/")[2]
        if role != self.roles.engine_role:
            raise Refused(HTTPStatus.BAD_REQUEST, f"Role '{role}' not found")


@contextmanager
def aws_contract(aws: MotoAws, roles: Roles) -> Iterator[AwsContract]:
    """A server with both mounts for one `with` block."""
    vault = VaultContract()
    try:
        yield AwsContract(vault, aws, roles)
    finally:
        vault.stop()
