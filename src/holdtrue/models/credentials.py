"""Credentials on their way from a block to a tool: in memory, masked in every representation, never persisted."""

from datetime import datetime
from pathlib import Path

from pydantic import Field, SecretStr

from holdtrue.models.base import Value
from holdtrue.models.host import Host
from holdtrue.models.stack import StackOutputs


class StackAccess(Value):
    """What the infrastructure engine needs to open one backend and reach the cloud."""

    backend_url: str
    secrets_provider: str
    environment: dict[str, SecretStr] = Field(description="Variables of the engine and the program: AWS_*, VAULT_*.")


class SshIdentity(Value):
    """A key pair made for one run, with a certificate that a CA signed for it."""

    private_key: SecretStr = Field(description="OpenSSH private key, unencrypted; lives in memory and in an agent.")
    certificate: str = Field(description="OpenSSH certificate line, public.")
    principals: tuple[str, ...]
    expires_at: datetime


class DatabaseLogin(Value):
    """A user of a database that exists while the run lasts."""

    username: str
    password: SecretStr
    url: SecretStr = Field(description="Connection URL with user and password.")
    ttl_seconds: int = Field(description="Lifetime of the user as issued; renewed while the run lasts.")


class ClientCertificate(Value):
    """A TLS client certificate and its key."""

    certificate: str = Field(description="PEM.")
    chain: tuple[str, ...] = Field(description="PEM of the CAs above it, the issuer first.")
    private_key: SecretStr = Field(description="PEM, unencrypted.")
    serial: str
    expires_at: datetime


class CertificateFiles(Value):
    """The same as files, while a `with` block lasts."""

    certificate: Path = Field(description="The certificate and its chain.")
    key: Path


class SshAccess(Value):
    """An open way to the hosts: every ssh client that uses these two reaches them, and only while the run lasts."""

    config: Path = Field(description="ssh_config with one Host entry a host, strict host keys and a ControlPath.")
    agent_socket: Path = Field(description="SSH_AUTH_SOCK of the run's own agent.")


class HostAccess(Value):
    """The hosts of a stack, the outputs that named them, and an open way to them."""

    hosts: tuple[Host, ...]
    outputs: StackOutputs
    ssh: SshAccess

    @property
    def names(self) -> tuple[str, ...]:
        """The hosts' names, in the stack's order."""
        return tuple(host.name for host in self.hosts)
