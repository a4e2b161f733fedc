"""AWS keys that live in Vault, that Vault makes, or that a role gives for a while."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final, Literal, assert_never

from pydantic import Field, SecretStr

from holdtrue.adapters.aws import (
    AwsKeys,
    RoleSession,
    assume_role,
    assume_role_with_web_identity,
    refreshing_session,
)
from holdtrue.adapters.vault import LeasedSecret, VaultSession
from holdtrue.credentials.holding import Issued
from holdtrue.credentials.reference import CredentialReference
from holdtrue.credentials.scope import current_scope
from holdtrue.credentials.shared import SharedVault, known_fields
from holdtrue.credentials.sources import EnvironmentSource, FileSource
from holdtrue.credentials.vault import VaultCredentials, VaultPath, pick
from holdtrue.errors import RejectedError
from holdtrue.models.base import Value
from holdtrue.models.lease import LeaseKind
from holdtrue.runtime.redaction import register_secret

if TYPE_CHECKING:
    import boto3

_MARGIN: Final = 0.15
"""Keys are replaced when less than this part of their life is left."""

_LAST_USE: Final = timedelta(seconds=10)
"""Keys that could not be replaced are used until this long before they expire."""

_PUBLIC: Final = frozenset({"access_key"})
"""Fields in an answer of Vault's AWS engine that are not secret."""


class KvAwsKeys(Value):
    """An access key in Vault's KV engine."""

    kind: Literal["kv"] = Field(default="kv", description="An access key in Vault's KV engine.")
    mount: VaultPath = Field(default="secret", description="Path that the KV engine is mounted at.")
    path: VaultPath = Field(description="Path of the secret below the mount, without data/.")
    access_key_id_field: str = Field(
        default="access_key_id", min_length=1, description="Name of the field with the access key id."
    )
    secret_access_key_field: str = Field(
        default="secret_access_key", min_length=1, description="Name of the field with the secret access key."
    )
    session_token_field: str = Field(
        default="session_token",
        min_length=1,
        description="Name of the field with the session token of temporary keys; it may be absent from the secret.",
    )

    def capabilities(self) -> dict[str, str]:
        """To read the secret."""
        return {f"{self.mount}/data/{self.path}": "read"}

    def read(self, vault: SharedVault) -> AwsKeys:
        """The keys as they are in Vault. Raises SecretInvalid: the secret lacks a field."""
        fields = vault.read_secret(self.mount, self.path)
        where = f"{vault.server.address}, mount {self.mount}, path {self.path}"
        token = fields.get(self.session_token_field)
        return AwsKeys(
            access_key_id=pick(fields, self.access_key_id_field, where=where).get_secret_value(),
            secret_access_key=pick(fields, self.secret_access_key_field, where=where),
            session_token=token if token is not None and token.get_secret_value() else None,
        )


class EngineAwsKeys(Value):
    """Keys that Vault's AWS engine makes for this run. HashiCorp Vault only."""

    kind: Literal["engine"] = Field(default="engine", description="Keys that Vault's AWS engine makes.")
    mount: VaultPath = Field(default="aws", description="Path that the AWS engine is mounted at.")
    role: VaultPath = Field(description="Role of that engine.")
    type: Literal["creds", "sts"] = Field(
        default="sts",
        description="creds: an IAM user, deleted at the end of the run; sts: a session that nobody can revoke.",
    )
    role_arn: str = Field(default="", description="Role to assume, where the engine's role allows several.")
    ttl_seconds: int = Field(default=3600, ge=900, le=43_200, description="Lifetime of a session in seconds.")

    def capabilities(self) -> dict[str, str]:
        """To have keys made, and to revoke an IAM user's lease."""
        if self.type == "sts":
            return {f"{self.mount}/sts/{self.role}": "update"}
        leases = dict.fromkeys(("sys/leases/renew", "sys/leases/revoke"), "update")
        return {f"{self.mount}/creds/{self.role}": "read", **leases}

    def read(self, vault: SharedVault) -> tuple[AwsKeys, str]:
        """New keys, in the ledger before they are used, and the id of the lease that is renewed for them, if any."""
        path = f"{self.mount}/{self.type}/{self.role}"
        made_at = datetime.now(UTC)

        def request(session: VaultSession) -> LeasedSecret:
            return session.aws_credentials(
                self.mount, self.role, kind=self.type, ttl_seconds=self.ttl_seconds, role_arn=self.role_arn
            )

        lease_id = ""
        if self.type == "creds":
            leased = vault.lease(path, request, public=_PUBLIC)
            lease_id = leased.lease_id
        else:
            leased = vault.obtain(
                LeaseKind.AWS_SESSION,
                path,
                lambda session: known_fields(request(session), _PUBLIC),
                lambda issued: Issued(issued.lease_id, issued.ttl_seconds),
            )
        where = f"{vault.server.address}, path {path}"
        keys = AwsKeys(
            access_key_id=pick(leased.fields, "access_key", where=where).get_secret_value(),
            secret_access_key=pick(leased.fields, "secret_key", where=where),
            session_token=leased.fields.get("security_token") or leased.fields.get("session_token"),
            expires_at=made_at + timedelta(seconds=leased.ttl_seconds),
        )
        return keys, lease_id


class WebIdentity(Value):
    """The JWT of a workload identity, which the platform puts into a file or a variable of the worker."""

    kind: Literal["web-identity"] = Field(default="web-identity", description="A JWT of the platform.")
    token: Annotated[EnvironmentSource | FileSource, Field(discriminator="kind")] = Field(
        description="Where the worker finds the JWT."
    )


class VaultIdentity(Value):
    """A JWT that Vault signs for this run's own identity (identity/oidc), which the role trusts."""

    kind: Literal["vault-identity"] = Field(default="vault-identity", description="A JWT that Vault signs.")
    role: VaultPath = Field(description="Role of Vault's identity tokens.")


class AssumedRole(Value):
    """A role assumed at AWS STS; its keys are replaced before they end."""

    kind: Literal["assumed-role"] = Field(default="assumed-role", description="A role assumed at AWS STS.")
    role_arn: str = Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/\S+$", description="The role's ARN.")
    session_name: str = Field(
        default="holdtrue", pattern=r"^[\w+=,.@-]{2,64}$", description="Name of the session in CloudTrail."
    )
    duration_seconds: int = Field(default=3600, ge=900, le=43_200, description="Lifetime of the keys in seconds.")
    identity: Annotated[WebIdentity | VaultIdentity | KvAwsKeys, Field(discriminator="kind")] = Field(
        description="Who assumes the role."
    )

    def capabilities(self) -> dict[str, str]:
        """What the identity needs from Vault; the role itself is a matter of AWS."""
        match self.identity:
            case KvAwsKeys():
                return self.identity.capabilities()
            case VaultIdentity(role=role):
                return {f"identity/oidc/token/{role}": "read"}
            case WebIdentity():
                return {}

    def assume(self, vault: SharedVault, region: str, endpoint_url: str | None) -> AwsKeys:
        """New keys, in the ledger before they are used."""

        def request() -> AwsKeys:
            wanted = RoleSession(self.role_arn, self.session_name, self.duration_seconds, region, endpoint_url)
            return _known(self._request(vault, wanted), vault, self.kind)

        return current_scope().obtain(
            LeaseKind.AWS_SESSION,
            server=endpoint_url or f"sts.{region}.amazonaws.com",
            path=self.role_arn,
            request=request,
            describe=lambda _: Issued(self.session_name, self.duration_seconds),
        )

    def _request(self, vault: SharedVault, wanted: RoleSession) -> AwsKeys:
        match self.identity:
            case KvAwsKeys():
                return assume_role(self.identity.read(vault), wanted)
            case VaultIdentity(role=role):
                identity = vault.call(lambda it: it.identity_token(role))
                register_secret(identity, name=f"the identity token of {role}")
                return assume_role_with_web_identity(identity, wanted)
            case WebIdentity(token=token):
                return assume_role_with_web_identity(token.read(lambda wrapped: wrapped), wanted)


AwsSource = Annotated[KvAwsKeys | EngineAwsKeys | AssumedRole, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class _HeldKeys:
    """Keys that the scope shares."""

    keys: AwsKeys
    lifetime: timedelta
    """How long they lived when they were new; 0 for those without end."""
    lease_id: str = ""
    """The lease that they live as long as, however often it is renewed; empty where they have an end of their own."""

    def now(self, vault: SharedVault) -> AwsKeys:
        """The keys, with the end that they have by now."""
        if not self.lease_id:
            return self.keys
        return replace(
            self.keys, expires_at=datetime.now(UTC) + timedelta(seconds=vault.renewals.left_seconds(self.lease_id))
        )

    def last(self, minimum: timedelta, vault: SharedVault) -> bool:
        """Whether they live so long; those of a lease that is renewed do."""
        return (bool(self.lease_id) and vault.renewals.is_renewed(self.lease_id)) or _left(self.now(vault)) >= minimum

    def are_usable(self, minimum: timedelta, vault: SharedVault) -> bool:
        """Whether they need not be replaced yet."""
        return self.last(minimum, vault) and _left(self.now(vault)) > self.lifetime * _MARGIN


class VaultAwsCredentials(CredentialReference):
    """AWS keys from Vault or from a role, as variables for tools and as sessions that refresh."""

    vault: VaultCredentials = Field(description="How to log in to Vault.")
    region: str = Field(min_length=1, description="AWS region, e.g. eu-central-1.")
    endpoint_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s@]+$",
        description="Endpoint of every service; empty for AWS itself.",
    )
    source: AwsSource = Field(description="Where the keys come from.")

    def capabilities(self) -> dict[str, str]:
        """What the source needs from Vault."""
        return self.source.capabilities()

    def keys(self, minimum_seconds: float = 0.0) -> AwsKeys:
        """Keys that live at least `minimum_seconds`: those at hand, or new ones near their end.

        Raises:
            RejectedError: the source gives none that live so long.
            HoldtrueError: what the source raises.
        """
        minimum = timedelta(seconds=minimum_seconds)

        vault = self.vault.connect()
        if isinstance(self.source, KvAwsKeys):
            held = self._fetch(vault)
        else:
            shared = (self.source, self.region, self.endpoint_url)
            held = vault.remember(
                shared,
                lambda it: it.are_usable(minimum, vault),
                lambda: self._fetch(vault),
                serves_still=lambda it: it.last(max(minimum, _LAST_USE), vault),
            )
        keys = _known(held.now(vault), vault, self.source.kind)
        if not held.last(minimum, vault):
            raise RejectedError(
                f"the AWS keys live {_left(keys).total_seconds():.0f} s, and the operation may take "
                f"{minimum_seconds:.0f} s",
                where=f"VaultAwsCredentials, source {self.source.kind}",
                next_step="raise the lifetime in the source, or lower timeout_seconds of the environment",
            )
        return keys

    def environment(self, minimum_seconds: float = 0.0) -> dict[str, SecretStr]:
        """The variables that the AWS SDKs and command lines read; the keys in them live at least `minimum_seconds`.

        Raises:
            HoldtrueError: what `keys` raises.
        """
        keys = self.keys(minimum_seconds)
        variables = {
            "AWS_ACCESS_KEY_ID": SecretStr(keys.access_key_id),
            "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
            "AWS_REGION": SecretStr(self.region),
            "AWS_DEFAULT_REGION": SecretStr(self.region),
        }
        if keys.session_token:
            variables["AWS_SESSION_TOKEN"] = keys.session_token
        if self.endpoint_url:
            variables["AWS_ENDPOINT_URL"] = SecretStr(self.endpoint_url)
        return variables

    def session(self) -> "boto3.Session":
        """A session whose clients replace the keys before they end, however long the flow runs.

        Raises:
            HoldtrueError: what `keys` raises; later, from a client's call, when the keys cannot be replaced.
        """
        return refreshing_session(self.keys, region=self.region, endpoint_url=self.endpoint_url)

    def _fetch(self, vault: SharedVault) -> _HeldKeys:
        lease_id = ""
        match self.source:
            case AssumedRole():
                keys = self.source.assume(vault, self.region, self.endpoint_url)
            case KvAwsKeys():
                keys = self.source.read(vault)
            case EngineAwsKeys():
                keys, lease_id = self.source.read(vault)
            case _:
                assert_never(self.source)
        return _HeldKeys(keys, timedelta() if keys.expires_at is None else _left(keys), lease_id)


def _known(keys: AwsKeys, vault: SharedVault, kind: str) -> AwsKeys:
    """The keys, registered for the caller's run, because another run may have obtained them."""
    for secret in keys.secrets:
        vault.know(secret, name=f"AWS keys of {kind}")
    return keys


def _left(keys: AwsKeys) -> timedelta:
    return timedelta.max if keys.expires_at is None else keys.expires_at - datetime.now(UTC)
