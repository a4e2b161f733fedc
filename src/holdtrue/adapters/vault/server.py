"""Where a Vault is."""

from dataclasses import dataclass
from pathlib import Path


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
