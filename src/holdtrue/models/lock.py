"""The lock that a run holds while it writes to an environment, and where it is kept."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from pydantic import Field

from holdtrue.models.base import Value
from holdtrue.models.lease import Holder, Liveness


class EnvironmentLock(Value):
    """An environment's lock as the ledger has it."""

    environment: str
    fence: int = Field(ge=1, description="Number of this acquisition: one more than that of the one before.")
    holder: Holder | None = Field(description="The run that holds it; None when it is free.")
    acquired_at: datetime = Field(description="When it was last taken, by the clock of the ledger's database.")
    silent_seconds: float = Field(
        default=0.0, description="How long ago the holder last said that it lives, by the same clock."
    )


class Observation(Value):
    """What this machine sees of the process that holds a lock."""

    process: Liveness
    tools: Liveness = Field(description="Whether a tool that the process started still runs.")
    tool_pids: tuple[int, ...] = ()


class HolderStatus(StrEnum):
    """Whether the holder of a lock still lives, as far as this machine can prove it."""

    LIVE = "live"
    """It runs here, or it runs elsewhere and has lately told the ledger so."""
    ORPHANED = "orphaned"
    """Its process is gone, but tools that it has started still run and may write."""
    SILENT = "silent"
    """Nobody can tell: it ran elsewhere, and has not told the ledger for a long time that it lives."""
    OVER = "over"
    """It ended, or its process and all its tools on this machine are gone: the lock may be taken over."""


class ListedLock(Value):
    """A lock, and whether its holder still lives."""

    lock: EnvironmentLock
    status: HolderStatus | None = Field(description="None when the lock is free.")


class LockList(Value):
    """The locks of a ledger."""

    locks: tuple[ListedLock, ...]


class EnvironmentLocks(Protocol):
    """Where locks are kept: one for each environment, and of those who want one at once, one gets it."""

    def acquire(self, environment: str, holder: UUID, *, take_over_fence: int | None = None) -> EnvironmentLock | None:
        """Take it with the next fence if it is free, or if its fence is `take_over_fence`; None when it is held.

        Args:
            environment: Whose lock.
            holder: The run that takes it, as the ledger lists it.
            take_over_fence: The fence of a holder that is proven dead.

        Raises:
            RejectedError: the run that asks has ended.
        """

    def release(self, environment: str, fence: int) -> bool:
        """Free it if this fence still holds it; False when it does not."""

    def find(self, environment: str) -> EnvironmentLock | None:
        """The lock as it is now; None when it was never taken."""

    def all(self) -> Sequence[EnvironmentLock]:
        """Every lock that was ever taken, by environment."""
