"""Dependency audit: findings, what was not audited, and the source's seam."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from pydantic import Field

from holdtrue.models.base import Value


class AuditVerdict(StrEnum):
    """The three answers. A stable contract; incomplete is never clean."""

    CLEAN = "clean"
    VULNERABLE = "vulnerable"
    INCOMPLETE = "incomplete"


class Advisory(Value):
    """One known vulnerability of one installed version."""

    package: str
    version: str
    id: str
    aliases: tuple[str, ...] = ()
    fixed_in: tuple[str, ...] = ()
    summary: str = ""
    found_in: tuple[str, ...] = Field(description="The audited things that hold this package and version.")


class NotAudited(Value):
    """Something that could not be judged, and why."""

    name: str
    reason: str
    found_in: str


class InventoryKind(StrEnum):
    """Where packages are listed from."""

    REQUIREMENTS = "requirements"
    INSTALLED = "installed"


class AuditTarget(Value):
    """One thing to audit: a pinned requirements file or an installed environment."""

    label: str
    kind: InventoryKind
    path: Path = Field(description="The file, or the site-packages folder.")


class TargetAudit(Value):
    """What one target's audit said."""

    target: str
    audited: int = Field(ge=0)
    advisories: tuple[Advisory, ...] = ()
    not_audited: tuple[NotAudited, ...] = ()


class AuditReport(Value):
    """The whole batch."""

    verdict: AuditVerdict
    audited: int = Field(ge=0)
    advisories: tuple[Advisory, ...]
    not_audited: tuple[NotAudited, ...]
    targets: tuple[TargetAudit, ...]
    source: str = Field(description="Address of the advisory source.")
    started_at: datetime
    duration_seconds: float = Field(ge=0)


class DependencyAuditor(Protocol):
    """Audits one target against an advisory source.

    Raises RejectedError for a file that cannot be read as what it should be, ServiceUnreachable or ServiceNotReady when
    the source fails: an audit that could not ask is never an empty list.
    """

    def audit(self, target: AuditTarget) -> TargetAudit:
        """List the target's packages and ask about every one."""
        ...
