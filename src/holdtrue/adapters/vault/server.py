"""Where a Vault is and who asks it."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class VaultServer:
    """One Vault address; nothing is taken from VAULT_* variables or ~/.vault-token."""

    address: str
    """Scheme, host and port, as in VAULT_ADDR: `https://vault.example.org:8200`."""
    namespace: str = ""
    """Empty for the root namespace."""
    ca_file: Path | None = None
    """PEM file of the CA that signed the server's certificate; None trusts the machine's own CAs."""
    timeout_seconds: float = 10.0
    """Longest wait for a connection, and then for each answer; nothing is asked twice, the task retries."""


@dataclass(frozen=True, slots=True)
class AppRole:
    """The login of a machine: a public role id and a secret id that its host keeps."""

    role_id: str
    secret_id: SecretStr
    mount: str = "approle"
    """Path that the auth method is enabled at, without the leading `auth/`."""


VaultAuth = AppRole
"""The closed set of logins. A further one is a dataclass in this union and a case in `session.login`; callers stay."""
