"""Key pairs made in memory, and their way into an agent without touching a disk."""

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import asyncssh
from pydantic import SecretStr

from holdtrue.errors import AccessDenied, SecretInvalid
from holdtrue.models.credentials import SshIdentity


def generate_key_pair() -> tuple[SecretStr, str]:
    """A fresh Ed25519 pair: the private key as unencrypted OpenSSH text, and the public key as one line."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    return SecretStr(key.export_private_key("openssh").decode()), key.export_public_key("openssh").decode().strip()


def remaining_seconds(identity: SshIdentity, now: datetime) -> int:
    """How long the certificate is still good for, rounded up.

    Raises:
        AccessDenied: it has expired.
    """
    remaining = math.ceil((identity.expires_at - now).total_seconds())
    if remaining <= 0:
        raise AccessDenied(
            f"the SSH certificate expired at {identity.expires_at.isoformat(timespec='seconds')}",
            where="principals " + ", ".join(identity.principals),
            next_step="have it signed with a longer TTL, at least as long as the run takes",
        )
    return remaining


def add_to_agent(socket: Path, identity: SshIdentity) -> None:
    """Hand key and certificate to the agent at `socket`, which forgets them when the certificate expires.

    Raises:
        AccessDenied: the certificate has expired.
        SecretInvalid: key or certificate cannot be read, or they do not belong together.
    """
    lifetime_seconds = remaining_seconds(identity, datetime.now(UTC))
    try:
        key = asyncssh.import_private_key(identity.private_key.get_secret_value())
        certificate = asyncssh.import_certificate(identity.certificate)
    except asyncssh.KeyImportError as error:
        # The parser's text may quote the key; its class says enough.
        raise SecretInvalid(
            "the SSH key or certificate cannot be read", where=type(error).__name__, next_step="have a new one signed"
        ) from None
    if certificate.key.public_data != key.public_data:
        raise SecretInvalid(
            "the SSH certificate was signed for another key", where="SshIdentity", next_step="have this key signed"
        )
    # A thread of its own, because the caller may already run an event loop.
    with ThreadPoolExecutor(1) as executor:
        executor.submit(asyncio.run, _add(socket, key, certificate, lifetime_seconds)).result()


async def _add(socket: Path, key: asyncssh.SSHKey, certificate: asyncssh.SSHCertificate, lifetime_seconds: int) -> None:
    async with asyncssh.connect_agent(str(socket)) as agent:
        await agent.add_keys([(key, certificate)], lifetime=lifetime_seconds)
