"""SSH without long-lived keys: a key pair for one run, signed by Vault's SSH CA."""

from datetime import UTC, datetime, timedelta

from pydantic import Field

from blocks.reference import DOCUMENTATION, KEY_LOGO, Reference
from blocks.vault import VaultCredentials
from holdtrue.models.credentials import SshIdentity


class VaultSshCertificates(Reference):
    """Short-lived SSH certificates from one CA in Vault, and the CA that the hosts' own keys are signed by.

    Example:
        Get a key pair that the hosts accept for a while:
        ```python
        from blocks.ssh import VaultSshCertificates

        vault_ssh_certificates_block = VaultSshCertificates.load("BLOCK_NAME")
        identity = vault_ssh_certificates_block.issue()
        ```
    """

    _block_type_name = "Vault SSH Certificates"
    _block_type_slug = "holdtrue-vault-ssh-certificates"
    _logo_url = KEY_LOGO
    _documentation_url = DOCUMENTATION

    vault: VaultCredentials = Field(description="How to log in to Vault.")
    mount: str = Field(default="ssh", min_length=1, description="Path of the SSH engine that signs user keys.")
    role: str = Field(min_length=1, description="Role of that engine to sign with.")
    principals: tuple[str, ...] = Field(
        min_length=1, description="Names on the hosts that the certificate opens, e.g. deploy."
    )
    ttl_seconds: int = Field(
        default=1800, ge=30, le=86_400, description="Lifetime of the certificate in seconds; longer than a run."
    )
    host_ca_mount: str = Field(
        min_length=1, description="Path of the SSH engine whose CA signed the keys of the hosts."
    )

    def capabilities(self) -> dict[str, str]:
        """What Vault's policy must let this block do, by API path."""
        return {f"{self.mount}/sign/{self.role}": "update"}

    def issue(self) -> SshIdentity:
        """Make a key pair in memory and have its public half signed.

        `expires_at` is counted from before the request, so the certificate does not end earlier by one clock.

        Raises:
            AccessDenied: the role does not allow a principal, or the policy lacks the path.
            RejectedError: ttl_seconds is above the role's limit.
            HoldtrueError: what `VaultSession.sign_ssh_key` raises.
        """
        from holdtrue.adapters.ssh import generate_key_pair  # noqa: PLC0415 - it imports an SSH library

        private_key, public_key = generate_key_pair()
        expires_at = datetime.now(UTC) + timedelta(seconds=self.ttl_seconds)
        with self.vault.session() as vault:
            certificate = vault.sign_ssh_key(self.mount, self.role, public_key, self.principals, self.ttl_seconds)
        return SshIdentity(
            private_key=private_key, certificate=certificate, principals=self.principals, expires_at=expires_at
        )

    def host_ca_lines(self) -> tuple[str, ...]:
        """Lines for known_hosts that trust every host whose key this CA signed.

        Raises:
            ResourceMissing: the mount has no CA.
            HoldtrueError: what `VaultSession.ssh_ca` raises.
        """
        with self.vault.session() as vault:
            return (f"@cert-authority * {vault.ssh_ca(self.host_ca_mount)}",)
