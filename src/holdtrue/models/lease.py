"""What the ledger knows of a run and of what it holds: names and times, never a value."""

from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from pydantic import Field

from holdtrue.models.base import Value


class LeaseKind(StrEnum):
    """What was issued, which decides how it ends."""

    TOKEN = "token"  # noqa: S105 - a kind's name
    """A Vault token; revoking it revokes its leases."""
    SECRET = "secret"  # noqa: S105 - a kind's name
    """What has a Vault lease id: a database user, an IAM user."""
    CERTIFICATE = "certificate"
    """A PKI certificate, revoked by its serial."""
    SSH_CERTIFICATE = "ssh-certificate"
    """Nobody can revoke it."""
    AWS_SESSION = "aws-session"
    """Nobody can revoke it."""

    @property
    def revocable(self) -> bool:
        """False for what lives until it expires, whatever anybody does."""
        return self not in (LeaseKind.SSH_CERTIFICATE, LeaseKind.AWS_SESSION)


class LeaseState(StrEnum):
    """Where a lease is in its life. All but the first two are final."""

    REQUESTED = "requested"
    """Asked for, without an answer so far, or ever: then the server may have issued it, and nothing is known of it."""
    HELD = "held"
    REVOKED = "revoked"
    EXPIRED = "expired"
    """It ended by itself, or with its token."""
    LEFT = "left"
    """Nobody can revoke it: it was left to expire."""
    LOST = "lost"
    """A run requested it, the answer was never recorded, and it has expired by now."""
    REFUSED = "refused"
    """Nothing was issued."""

    @property
    def is_settled(self) -> bool:
        """True when nothing is left to do."""
        return self not in (LeaseState.REQUESTED, LeaseState.HELD)


class Lease(Value):
    """One lease, token or certificate."""

    id: UUID
    holder: UUID
    kind: LeaseKind
    server: str = Field(description="Address of the Vault, or the AWS endpoint.")
    namespace: str = ""
    path: str = Field(description="API path that issued it.")
    reference: str = Field(default="", description="Accessor, lease id or serial; empty while it is requested.")
    requested_at: datetime
    expires_at: datetime | None = Field(description="Latest end as far as known; None while it is requested.")
    state: LeaseState

    @property
    def revocable(self) -> bool:
        """False for what nobody can revoke: by its kind, or, as a batch token, because it has nothing to name it by."""
        return self.kind.revocable and bool(self.reference)


class ProcessIdentity(Value):
    """One process, told apart from a later one with the same id."""

    machine: str = Field(description="Boot id and pid namespace.")
    pid: int
    started_ticks: int = Field(description="Field 22 of /proc/<pid>/stat.")
    host: str
    user_id: int | None = Field(default=None, description="Effective user id; None in entries of ledger version 0001.")


class Liveness(StrEnum):
    """What can be said of a process from here."""

    ALIVE = "alive"
    """Also while it is stopped."""
    DEAD = "dead"
    UNKNOWN = "unknown"
    """It is of another machine or container, or hidden from this user."""


class Vitality(StrEnum):
    """What a sweep makes of a run that holds something."""

    LIVE = "live"
    SILENT = "silent"
    """It seems dead, because it has not told the ledger for long that it lives. It may come back."""
    OVER = "over"
    """It ended, or its process is gone: it never comes back."""


class Holder(Value):
    """Who holds leases: one run in one process."""

    id: UUID
    run: str = Field(description="Flow run id; empty outside a flow.")
    run_name: str
    flow: str
    process: ProcessIdentity
    opened_at: datetime
    beat_at: datetime = Field(description="When it last said that it lives, by the clock of the ledger's database.")
    closed_at: datetime | None


class Holding(Value):
    """A holder and those of its leases that are not settled."""

    holder: Holder
    leases: tuple[Lease, ...]
    silent_seconds: float = Field(description="How long ago it last said that it lives, by one clock: the database's.")


class HolderRegister(Protocol):
    """Where a run says that it is there."""

    def open_holder(self, holder: Holder) -> None:
        """List it."""

    def beat(self, holder_id: UUID) -> None:
        """It lives. A run that ended stays ended: RejectedError."""

    def close_holder(self, holder_id: UUID, now: datetime) -> None:
        """It ended, and so did its tools: it holds no lock any more."""


class LeaseRecorder(Protocol):
    """Where a run writes down what it holds, before it uses it."""

    def request(self, lease: Lease) -> None:
        """Something is about to be asked for. Nothing is for a run that ended: RejectedError."""

    def hold(self, lease_id: UUID, reference: str, expires_at: datetime) -> None:
        """It was issued, or renewed until then."""

    def settle(self, lease_id: UUID, state: LeaseState) -> bool:
        """It is over; False when it was settled before, and stays as it was."""


class LeftLeases(Protocol):
    """What a sweep reads."""

    def unsettled(self) -> tuple[Holding, ...]:
        """Every holder with leases that are requested or held."""

    def prune(self, before: datetime) -> int:
        """Forget holders that ended or fell silent before then with everything settled; returns how many."""


class LeaseLedger(HolderRegister, LeaseRecorder, LeftLeases, Protocol):
    """The ledger."""
