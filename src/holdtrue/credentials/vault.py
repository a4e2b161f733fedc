"""Vault: where it is and how to log in, and one field of one secret."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr

from holdtrue.adapters.vault import VaultServer
from holdtrue.core.vault_paths import path_problem
from holdtrue.credentials.logins import VaultLogin
from holdtrue.credentials.reference import CredentialReference
from holdtrue.credentials.scope import current_scope
from holdtrue.credentials.shared import PUBLIC_FIELDS, SharedVault
from holdtrue.errors import SecretInvalid


def _checked_path(path: str) -> str:
    problem = path_problem(path)
    if problem is not None:
        raise ValueError(problem)
    return path


VaultPath = Annotated[str, Field(min_length=1), AfterValidator(_checked_path)]
"""A mount or a path below one, as the API writes it."""

_KV_V2: Final = 2


class VaultCredentials(CredentialReference):
    """Log in to HashiCorp Vault or OpenBao, once for a whole run; the token is renewed, and revoked at its end."""

    address: str = Field(
        pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$",
        description="Address of the server as in VAULT_ADDR, e.g. https://vault.example.org:8200.",
    )
    namespace: str = Field(default="", description="Namespace; empty for the root namespace.")
    ca_file: Path | None = Field(
        default=None, description="PEM file on the worker with the CA of the server; empty trusts the machine's CAs."
    )
    timeout_seconds: float = Field(
        default=10.0, gt=0, le=300, description="Longest wait in seconds for a connection and for each answer."
    )
    auth: VaultLogin = Field(description="How to log in.")

    def connect(self) -> SharedVault:
        """This Vault under this identity, for the scope that the caller runs in. Asks nothing by itself."""
        return current_scope().vault(self.server(), self.auth)

    def capabilities(self) -> dict[str, str]:
        """To see, to renew and to end its own token."""
        return {
            "auth/token/lookup-self": "read",
            "auth/token/renew-self": "update",
            "auth/token/revoke-self": "update",
        }

    def is_same_login(self, other: "VaultCredentials") -> bool:
        """Whether a run has one token for both."""
        return self.server() == other.server() and self.auth == other.auth

    def server(self) -> VaultServer:
        """The address part."""
        return VaultServer(
            address=self.address.rstrip("/"),
            namespace=self.namespace,
            ca_file=self.ca_file.expanduser() if self.ca_file else None,
            timeout_seconds=self.timeout_seconds,
        )


class VaultSecret(CredentialReference):
    """One field of one secret in Vault's KV engine."""

    vault: VaultCredentials = Field(description="How to log in to Vault.")
    mount: VaultPath = Field(default="secret", description="Path that the KV engine is mounted at.")
    path: VaultPath = Field(description="Path of the secret below the mount, without data/.")
    field: str = Field(min_length=1, description="Name of the field in the secret.")
    version: int | None = Field(default=None, ge=1, description="Version to read; empty for the newest. KV v2 only.")
    kv_version: int = Field(default=2, ge=1, le=2, description="Version of the KV engine at the mount.")

    def get(self) -> SecretStr:
        """Fetch the value, once for all who ask within five minutes.

        Raises:
            SecretInvalid: the secret has no such field, or the field is not a string.
            HoldtrueError: what `VaultSession.read_secret` raises.
        """
        shared = self.vault.connect()
        fields = shared.read_secret(self.mount, self.path, self.version, kv_version=self.kv_version)
        value = pick(fields, self.field, where=f"{self.vault.address}, mount {self.mount}, path {self.path}")
        if self.field.lower() in PUBLIC_FIELDS:
            shared.know(value, name=f"{self.mount}/{self.path}, field {self.field}")
        return value

    def set(self, value: SecretStr, *, cas: int | None = None) -> int:
        """Write the value, keep the secret's other fields, and return the new version; 0 for KV v1, which has none.

        Args:
            value: The new value of the field.
            cas: Write only if this is the newest version (check-and-set), 0 if there must be none. None stands for the
                version that the other fields are read from, so that no other writer's change is lost. KV v2 only.

        Raises:
            RejectedError: somebody wrote a newer version in between.
            HoldtrueError: what `VaultSession.write_secret` raises; the policy needs `create` and `update`.
        """
        shared = self.vault.connect()
        return shared.write_field(self.mount, self.path, self.field, value, cas=cas, kv_version=self.kv_version)

    def capabilities(self) -> dict[str, str]:
        """To read the secret."""
        below = "data/" if self.kv_version == _KV_V2 else ""
        return {f"{self.mount}/{below}{self.path}": "read"}


def pick(fields: Mapping[str, SecretStr], name: str, *, where: str) -> SecretStr:
    """The field, or SecretInvalid with the names that are there."""
    value = fields.get(name)
    if value is None or not value.get_secret_value():
        raise SecretInvalid(
            f"the secret has no field {name!r} with a value; it has: {', '.join(sorted(fields)) or 'none'}",
            where=where,
            next_step="write the field, or name another one in the block",
        )
    return value
