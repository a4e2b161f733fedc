"""TLS client certificates from Vault's PKI engine."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from pydantic import Field

from holdtrue.adapters.vault import IssuedCertificate, VaultSession
from holdtrue.credentials.holding import Issued
from holdtrue.credentials.reference import CredentialReference
from holdtrue.credentials.vault import VaultCredentials, VaultPath
from holdtrue.models.credentials import CertificateFiles, ClientCertificate
from holdtrue.models.lease import LeaseKind
from holdtrue.runtime.folder import private_folder
from holdtrue.runtime.redaction import register_secret


class VaultPki(CredentialReference):
    """A client certificate that Vault's PKI engine issues for one run and revokes at its end."""

    vault: VaultCredentials = Field(description="How to log in to Vault.")
    mount: VaultPath = Field(default="pki", description="Path that the PKI engine is mounted at.")
    role: VaultPath = Field(description="Role of that engine.")
    common_name: str = Field(min_length=1, description="Common name of the certificate; the role has to allow it.")
    alt_names: tuple[str, ...] = Field(default=(), description="Further DNS names; the role has to allow them.")
    ttl_seconds: int = Field(default=3600, ge=30, description="Lifetime of the certificate in seconds.")

    def capabilities(self) -> dict[str, str]:
        """To have a certificate issued and revoked."""
        return {f"{self.mount}/issue/{self.role}": "update", f"{self.mount}/revoke": "update"}

    def issue(self) -> ClientCertificate:
        """A new key and certificate; it is revoked when the scope ends.

        Raises:
            RejectedError: the role does not allow the name or the lifetime.
            HoldtrueError: what `VaultSession.issue_certificate` raises.
        """

        def request(session: VaultSession) -> IssuedCertificate:
            issued = session.issue_certificate(
                self.mount,
                self.role,
                common_name=self.common_name,
                alt_names=self.alt_names,
                ttl_seconds=self.ttl_seconds,
            )
            register_secret(issued.private_key, name=f"private key of the certificate {issued.serial}")
            return issued

        issued = self.vault.connect().obtain(
            LeaseKind.CERTIFICATE,
            f"{self.mount}/issue/{self.role}",
            request,
            _describe,
            lambda session, certificate: session.revoke_certificate(self.mount, certificate.serial),
        )
        return ClientCertificate(
            certificate=issued.certificate,
            chain=issued.chain,
            private_key=issued.private_key,
            serial=issued.serial,
            expires_at=issued.expires_at,
        )

    @contextmanager
    def files(self) -> Iterator[CertificateFiles]:
        """Issue one as files, which most clients ask for: in memory (/dev/shm), mode 0600, gone after the block."""
        issued = self.issue()
        with private_folder("holdtrue-pki") as folder:
            paths = CertificateFiles(certificate=folder / "client.pem", key=folder / "client.key")
            paths.certificate.write_text("\n".join((issued.certificate, *issued.chain)) + "\n")
            paths.key.touch(mode=0o600)
            paths.key.write_text(issued.private_key.get_secret_value() + "\n")
            yield paths

    def ssl_context(self, *, ca_file: str | None = None) -> ssl.SSLContext:
        """A client context that presents a new certificate; `ca_file` names the servers' CA, None the machine's."""
        context = ssl.create_default_context(cafile=ca_file)
        with self.files() as paths:
            context.load_cert_chain(paths.certificate, paths.key)
        return context


def _describe(issued: IssuedCertificate) -> Issued:
    left = issued.expires_at - datetime.now(UTC)
    return Issued(issued.serial, max(0, int(left.total_seconds())))
