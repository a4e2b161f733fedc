"""How to log in to Vault, one form for each auth method: the documents, and the credential each makes at login time."""

import logging
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr, model_validator

from holdtrue.adapters.vault import auth
from holdtrue.credentials.sources import EnvironmentSource, FileSource, LoginPart, PlainSource, SecretSource, Unwrap
from holdtrue.runtime.redaction import register_secret

_LOGGER: Final = logging.getLogger(__name__)

_SERVICE_ACCOUNT_TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
"""Where Kubernetes mounts a pod's own token."""


class AppRoleAuth(LoginPart):
    """Login by AppRole."""

    kind: Literal["approle"] = Field(default="approle", description="Login by AppRole.")
    role_id: str = Field(min_length=1, description="Role id, which is not secret.")
    mount: str = Field(default="approle", min_length=1, description="Path that the auth method is enabled at.")
    secret_id: SecretSource = Field(
        default=EnvironmentSource(variable="HOLDTRUE_VAULT_SECRET_ID"),
        description="Where the worker finds the secret id; never the secret id itself.",
    )

    def credential(self, unwrap: Unwrap) -> auth.AppRole:
        """The login with its secret id, read now."""
        return auth.AppRole(role_id=self.role_id, secret_id=self.secret_id.read(unwrap), mount=self.mount)


class JwtAuth(LoginPart):
    """Login by a JWT that a workload identity provider issued (OIDC): CI systems, SPIFFE, cloud platforms."""

    kind: Literal["jwt"] = Field(default="jwt", description="Login by a JWT of a workload identity.")
    role: str = Field(min_length=1, description="Role of the auth method.")
    mount: str = Field(default="jwt", min_length=1, description="Path that the auth method is enabled at.")
    token: PlainSource = Field(description="Where the worker finds the JWT.")

    def credential(self, unwrap: Unwrap) -> auth.Jwt:
        """The login with its JWT, read now."""
        return auth.Jwt(role=self.role, token=self.token.read(unwrap), mount=self.mount)


class KubernetesAuth(LoginPart):
    """Login by the pod's service account."""

    kind: Literal["kubernetes"] = Field(default="kubernetes", description="Login by a Kubernetes service account.")
    role: str = Field(min_length=1, description="Role of the auth method.")
    mount: str = Field(default="kubernetes", min_length=1, description="Path that the auth method is enabled at.")
    token: PlainSource = Field(
        default=FileSource(path=_SERVICE_ACCOUNT_TOKEN), description="Where the worker finds the service account token."
    )

    def credential(self, unwrap: Unwrap) -> auth.Kubernetes:
        """The login with the service account's token, read now: the platform replaces it while the pod runs."""
        return auth.Kubernetes(role=self.role, token=self.token.read(unwrap), mount=self.mount)


class CertificateAuth(LoginPart):
    """Login by a TLS client certificate."""

    kind: Literal["cert"] = Field(default="cert", description="Login by a TLS client certificate.")
    certificate_file: Path = Field(description="PEM file of the certificate on the worker.")
    key_file: Path = Field(description="PEM file of its private key on the worker.")
    role: str = Field(default="", description="Name of the certificate role; empty tries all.")
    mount: str = Field(default="cert", min_length=1, description="Path that the auth method is enabled at.")

    def credential(self, unwrap: Unwrap) -> auth.ClientCertificate:  # noqa: ARG002 - the logins share one signature
        """The two files; whether they are there is found at login."""
        return auth.ClientCertificate(
            certificate_file=self.certificate_file.expanduser(),
            key_file=self.key_file.expanduser(),
            role=self.role,
            mount=self.mount,
        )


class UserpassAuth(LoginPart):
    """Login by user name and password."""

    kind: Literal["userpass"] = Field(default="userpass", description="Login by user name and password.")
    username: str = Field(min_length=1, description="User name.")
    mount: str = Field(default="userpass", min_length=1, description="Path that the auth method is enabled at.")
    password: SecretSource = Field(description="Where the worker finds the password; never the password itself.")

    def credential(self, unwrap: Unwrap) -> auth.Userpass:
        """The login with its password, read now."""
        return auth.Userpass(username=self.username, password=self.password.read(unwrap), mount=self.mount)


class AwsIamAuth(LoginPart):
    """Login by a signed request to AWS STS: the identity of the instance, task or function. HashiCorp Vault only."""

    kind: Literal["aws"] = Field(default="aws", description="Login by the worker's own AWS identity.")
    role: str = Field(min_length=1, description="Role of the auth method.")
    region: str = Field(default="us-east-1", min_length=1, description="Region of the STS endpoint to sign for.")
    server_id_header: str = Field(default="", description="Value of X-Vault-AWS-IAM-Server-ID, if the server asks it.")
    mount: str = Field(default="aws", min_length=1, description="Path that the auth method is enabled at.")

    def credential(self, unwrap: Unwrap) -> auth.AwsIam:  # noqa: ARG002 - the logins share one signature
        """The login with the keys that the AWS SDK finds on this worker, looked up now.

        Raises:
            ResourceMissing: the SDK finds none.
        """
        from holdtrue.adapters.aws import worker_keys  # noqa: PLC0415 - boto3 takes half a second to import

        keys = worker_keys()
        for secret in filter(None, (keys.secret_access_key, keys.session_token)):
            register_secret(secret, name="the worker's own AWS keys")
        return auth.AwsIam(
            role=self.role,
            access_key_id=keys.access_key_id,
            secret_access_key=keys.secret_access_key,
            session_token=keys.session_token,
            region=self.region,
            server_id_header=self.server_id_header,
            mount=self.mount,
        )


class TokenAuth(LoginPart):
    """A token that somebody else made; it is used, never revoked or replaced.

    With `source` the document holds no secret. `value` puts the token into the document: for a trial, and it warns.
    """

    kind: Literal["token"] = Field(default="token", description="A token that somebody else made.")
    source: PlainSource | None = Field(default=None, description="Where the worker finds the token.")
    value: SecretStr | None = Field(
        default=None, description="The token itself, kept by Prefect: who may use its API can read it."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> "TokenAuth":
        if (self.source is None) == (self.value is None):
            raise ValueError("give either source or value")
        if self.value is not None:
            _LOGGER.warning(
                "a Vault token is kept in the document of a block: everyone who may use the Prefect API can read it. "
                "Next: let source name a variable or a file of the worker, or use another login."
            )
        return self

    def credential(self, unwrap: Unwrap) -> auth.Token:
        """The token, read now."""
        if self.value is not None:
            register_secret(self.value, name="the Vault token of a block's document")
            return auth.Token(self.value)
        assert self.source is not None  # noqa: S101 - the validator's promise, for the type checker
        return auth.Token(self.source.read(unwrap))


VaultLogin = Annotated[
    AppRoleAuth | JwtAuth | KubernetesAuth | CertificateAuth | UserpassAuth | AwsIamAuth | TokenAuth,
    Field(discriminator="kind"),
]
