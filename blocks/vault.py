"""Vault: how to log in, and one field of one secret."""

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from blocks.reference import DOCUMENTATION, KEY_LOGO, Reference
from holdtrue.adapters.vault import AppRole, VaultServer, VaultSession, open_vault
from holdtrue.errors import ResourceMissing, SecretInvalid
from holdtrue.models.base import Value


class EnvironmentSecretId(Value):
    """The secret id is in a variable of the worker's environment."""

    kind: Literal["environment"] = Field(default="environment", description="The secret id is in a variable.")
    variable: str = Field(
        default="HOLDTRUE_VAULT_SECRET_ID", min_length=1, description="Name of the variable on the worker."
    )

    def read(self) -> SecretStr:
        """Raise ResourceMissing when the variable is not set or empty."""
        value = os.environ.get(self.variable, "").strip()
        if not value:
            raise ResourceMissing(
                f"the variable {self.variable} with Vault's secret id is not set",
                where="environment of this process",
                next_step="set it where the worker is started, or point secret_id of the block at a file.",
            )
        return SecretStr(value)


class FileSecretId(Value):
    """The secret id is the content of a file on the worker, as secret mounts of containers give it."""

    kind: Literal["file"] = Field(default="file", description="The secret id is in a file.")
    path: Path = Field(description="Path of the file on the worker.")

    def read(self) -> SecretStr:
        """Raise ResourceMissing when the file cannot be read, SecretInvalid when it is empty."""
        try:
            value = self.path.expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ResourceMissing(
                f"the file with Vault's secret id is not there or cannot be read ({type(error).__name__})",
                where=str(self.path),
                next_step="mount it where the worker's user may read it, or correct secret_id of the block.",
            ) from error
        if not value:
            raise SecretInvalid(
                "the file with Vault's secret id is empty",
                where=str(self.path),
                next_step="write one to it: `vault write -field=secret_id -f auth/approle/role/ROLE/secret-id`.",
            )
        return SecretStr(value)


SecretIdSource = Annotated[EnvironmentSecretId | FileSecretId, Field(discriminator="kind")]


class AppRoleAuth(Value):
    """Login by AppRole."""

    kind: Literal["approle"] = Field(default="approle", description="Login by AppRole.")
    role_id: str = Field(min_length=1, description="Role id, which is not secret.")
    mount: str = Field(default="approle", min_length=1, description="Path that the auth method is enabled at.")
    secret_id: SecretIdSource = Field(
        default=EnvironmentSecretId(), description="Where the worker finds the secret id; never the secret id itself."
    )

    def credential(self) -> AppRole:
        """The login with its secret id, read now."""
        return AppRole(role_id=self.role_id, secret_id=self.secret_id.read(), mount=self.mount)


VaultAuth = AppRoleAuth
"""Logins by `kind`. A further one is a model with its own `kind` and `credential`, joined here by a discriminator."""


class VaultCredentials(Reference):
    """Log in to HashiCorp Vault or OpenBao for one use, and revoke the token afterwards.

    Example:
        Read a secret:
        ```python
        from blocks.vault import VaultCredentials

        vault_credentials_block = VaultCredentials.load("BLOCK_NAME")
        with vault_credentials_block.session() as vault:
            fields = vault.read_secret("secret", "holdtrue/app")
        ```
    """

    _block_type_name = "Vault Credentials"
    _block_type_slug = "holdtrue-vault-credentials"
    _logo_url = KEY_LOGO
    _documentation_url = DOCUMENTATION

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
    auth: VaultAuth = Field(description="How to log in.")

    def session(self) -> AbstractContextManager[VaultSession]:
        """Log in; the token is revoked on every way out of the `with` block.

        Raises:
            HoldtrueError: what `holdtrue.adapters.vault.open_vault` raises, or the secret id cannot be read.
        """
        return open_vault(self.server(), self.auth.credential())

    def capabilities(self) -> dict[str, str]:
        """To end its own token, the one thing that every session does."""
        return {"auth/token/revoke-self": "update"}

    def server(self) -> VaultServer:
        """The address part, for tools that log in themselves."""
        return VaultServer(
            address=self.address.rstrip("/"),
            namespace=self.namespace,
            ca_file=self.ca_file.expanduser() if self.ca_file else None,
            timeout_seconds=self.timeout_seconds,
        )


class VaultSecret(Reference):
    """One field of one secret in Vault's KV engine, version 2.

    Example:
        Read it where it is used:
        ```python
        from blocks.vault import VaultSecret

        vault_secret_block = VaultSecret.load("BLOCK_NAME")
        password = vault_secret_block.get()
        ```
    """

    _block_type_name = "Vault Secret"
    _block_type_slug = "holdtrue-vault-secret"
    _logo_url = KEY_LOGO
    _documentation_url = DOCUMENTATION

    vault: VaultCredentials = Field(description="How to log in to Vault.")
    mount: str = Field(default="secret", min_length=1, description="Path that the KV engine is mounted at.")
    path: str = Field(min_length=1, description="Path of the secret below the mount, without data/.")
    field: str = Field(min_length=1, description="Name of the field in the secret.")
    version: int | None = Field(default=None, ge=1, description="Version to read; empty for the newest.")

    def get(self) -> SecretStr:
        """Fetch the value now.

        Raises:
            SecretInvalid: the secret has no such field, or the field is not a string.
            HoldtrueError: what `VaultSession.read_secret` raises.
        """
        with self.vault.session() as vault:
            fields = vault.read_secret(self.mount, self.path, self.version)
        return pick(fields, self.field, where=f"{self.vault.address}, mount {self.mount}, path {self.path}")

    def capabilities(self) -> dict[str, str]:
        """To read the secret."""
        return {f"{self.mount}/data/{self.path}": "read"}


def pick(fields: dict[str, SecretStr], name: str, *, where: str) -> SecretStr:
    """The field, or SecretInvalid with the names that are there."""
    value = fields.get(name)
    if value is None or not value.get_secret_value():
        raise SecretInvalid(
            f"the secret has no field {name!r} with a value; it has: {', '.join(sorted(fields)) or 'none'}",
            where=where,
            next_step="write the field, or name another one in the block.",
        )
    return value
