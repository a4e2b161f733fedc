"""What a sweep found of dead runs, and what became of it."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from holdtrue.models.base import Value
from holdtrue.models.lease import LeaseKind
from holdtrue.models.outcome import FlowReport


class SweepOutcome(StrEnum):
    """What became of one lease that a dead run left."""

    REVOKED = "revoked"
    """Revoked now, and a look-up after that did not find it."""
    GONE = "gone"
    """It had ended before: its own end, its token's, or somebody else's revocation."""
    LOST = "lost"
    """Asked for, and the answer was never written down: it may live, and there is nothing to revoke it by."""
    IRREVOCABLE = "irrevocable"
    """Nobody can revoke it (AWS sessions, SSH certificates, what a role does not store): it lives until it expires."""
    FAILED = "failed"
    """It could not be revoked or looked up; the next sweep tries again."""

    @property
    def needs_nobody(self) -> bool:
        """True for what is over, or ends by itself whatever anybody does; False for what had to be revoked."""
        return self in (SweepOutcome.GONE, SweepOutcome.IRREVOCABLE)


class SweptLease(Value):
    """One lease of one dead run; never its value."""

    run: str = Field(description="Id of the flow run that held it; empty outside a flow.")
    run_name: str
    host: str
    kind: LeaseKind
    server: str
    path: str = Field(description="API path that issued it.")
    reference: str = Field(description="Accessor, lease id or serial; opens nothing.")
    expires_at: datetime | None
    outcome: SweepOutcome
    detail: str = ""


class FolderOutcome(StrEnum):
    """What became of one private folder."""

    REMOVED = "removed"
    """The process that made it is gone, and so is all that it started."""
    LEFT = "left alone"
    """It belongs to another user, or it is uncertain whose it is or whether somebody uses it."""


class SweptFolder(Value):
    """One private folder that no live run of this machine holds."""

    path: str = Field(description="Bytes that are not UTF-8 are escaped.")
    outcome: FolderOutcome
    detail: str


class SweepReport(FlowReport):
    """One sweep of the ledger, and of the private folders on the sweep's own machine."""

    leases: tuple[SweptLease, ...] = Field(
        description="What this sweep settled, and what it could not; not what an earlier one has settled."
    )
    dead_runs: int = Field(description="Runs that left something that had to be revoked.")
    live_runs: int = Field(description="Holders that hold something and live; nothing of theirs was touched.")
    ledger_failure: str = Field(
        default="", description="Why the ledger did not take all of this; the next sweep then reports the rest again."
    )
    folders: tuple[SweptFolder, ...] = Field(
        default=(), description="Private folders that this sweep removed, and those that it left alone."
    )
    started_at: datetime
    duration_seconds: float

    def folders_of(self, outcome: FolderOutcome) -> tuple[SweptFolder, ...]:
        """The folders with this outcome."""
        return tuple(folder for folder in self.folders if folder.outcome is outcome)

    def of(self, outcome: SweepOutcome) -> tuple[SweptLease, ...]:
        """The leases with this outcome."""
        return tuple(lease for lease in self.leases if lease.outcome is outcome)
