"""SSH without long-lived keys: a key pair for one run, signed by Vault's SSH CA."""

from datetime import UTC, datetime, timedelta

from pydantic import Field

from holdtrue.adapters.vault import SignedKey, VaultSession
from holdtrue.credentials.holding import Issued
from holdtrue.credentials.reference import CredentialReference
from holdtrue.credentials.vault import VaultCredentials, VaultPath
from holdtrue.models.credentials import SshIdentity
from holdtrue.models.lease import LeaseKind
from holdtrue.runtime.redaction import register_secret


class VaultSshCertificates(CredentialReference):
    """Short-lived SSH certificates from one CA in Vault, and the CA that the hosts' own keys are signed by."""

    vault: VaultCredentials = Field(description="How to log in to Vault.")
    mount: VaultPath = Field(default="ssh", description="Path of the SSH engine that signs user keys.")
    role: VaultPath = Field(description="Role of that engine to sign with.")
    principals: tuple[str, ...] = Field(
        min_length=1, description="Names on the hosts that the certificate opens, e.g. deploy."
    )
    ttl_seconds: int = Field(
        default=1800, ge=30, le=86_400, description="Lifetime of the certificate in seconds; longer than a run."
    )
    host_ca_mount: VaultPath = Field(description="Path of the SSH engine whose CA signed the keys of the hosts.")

    def capabilities(self) -> dict[str, str]:
        """To have a key signed."""
        return {f"{self.mount}/sign/{self.role}": "update"}

    def issue(self) -> SshIdentity:
        """Make a key pair in memory and have its public half signed.

        `expires_at` is counted from before the request, so the certificate does not end earlier by one clock. Nobody
        can revoke a certificate: the ledger keeps its serial and its end.

        Raises:
            AccessDenied: the role does not allow a principal, or the policy lacks the path.
            RejectedError: ttl_seconds is above the role's limit.
            HoldtrueError: what `VaultSession.sign_ssh_key` raises.
        """
        from holdtrue.adapters.ssh import generate_key_pair  # noqa: PLC0415 - it imports an SSH library

        private_key, public_key = generate_key_pair()
        expires_at = datetime.now(UTC) + timedelta(seconds=self.ttl_seconds)

        def request(session: VaultSession) -> SignedKey:
            register_secret(private_key, name=f"the SSH key for {self.mount}/sign/{self.role}")
            return session.sign_ssh_key(self.mount, self.role, public_key, self.principals, self.ttl_seconds)

        signed = self.vault.connect().obtain(
            LeaseKind.SSH_CERTIFICATE,
            f"{self.mount}/sign/{self.role}",
            request,
            lambda signed: Issued(signed.serial, self.ttl_seconds),
        )
        return SshIdentity(
            private_key=private_key, certificate=signed.certificate, principals=self.principals, expires_at=expires_at
        )

    def host_ca_lines(self) -> tuple[str, ...]:
        """Lines for known_hosts that trust every host whose key this CA signed.

        Raises:
            ResourceMissing: the mount has no CA.
            HoldtrueError: what `VaultSession.ssh_ca` raises.
        """
        ca = self.vault.connect().call(lambda session: session.ssh_ca(self.host_ca_mount))
        return (f"@cert-authority * {ca}",)
