"""What a sandbox consists of."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Service(StrEnum):
    """A real service that a sandbox can start."""

    OPENBAO = "openbao"
    AWS = "aws"
    HOSTS = "hosts"
    LOAD_BALANCER = "load_balancer"
    OTLP = "otlp"
    OSV = "osv"
    POSTGRES = "postgres"
    PREFECT = "prefect"


class HostKind(StrEnum):
    """How far an SSH host is from this machine."""

    ROOTLESS = "rootless"
    """An SSH daemon of the current user; its world is a directory."""
    ISOLATED = "isolated"
    """Own network, process, mount, host-name and IPC namespaces and an overlay of the root file system; needs root."""


class SandboxOptions(BaseModel):
    """Which services to start, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    services: frozenset[Service] = frozenset(Service)
    hosts: HostKind = HostKind.ROOTLESS
    host_count: int = Field(default=2, ge=1, le=50)
    durable_vault: bool = False
    """Keep OpenBao's storage on disk (encrypted), so that it can be stopped and started again with its data."""

    @model_validator(mode="after")
    def _hosts_need_a_certificate_authority(self) -> Self:
        if Service.HOSTS in self.services and Service.OPENBAO not in self.services:
            raise ValueError("hosts trust OpenBao's SSH certificate authority: leave hosts out too, or keep openbao")
        return self
