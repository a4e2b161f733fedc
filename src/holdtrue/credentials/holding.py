"""One thing that a run holds and has to end: written to the ledger before it is asked for, settled when it is over."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID, uuid4

from holdtrue.adapters.vault import NotSent
from holdtrue.errors import HoldtrueError, ServiceUnreachable
from holdtrue.models.lease import Lease, LeaseKind, LeaseRecorder, LeaseState

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Issued:
    """What an answer says about the lease that came with it; never the value."""

    reference: str
    """What it is revoked by: a token's accessor, a lease id, a certificate's serial."""
    ttl_seconds: int

    def expires_at(self) -> datetime:
        """When it ends by this machine's clock, counted from now."""
        return datetime.now(UTC) + timedelta(seconds=self.ttl_seconds)


@dataclass(slots=True)
class Holding:
    """A lease in hand. `end` revokes it and says what became of it; None stands for what nobody can revoke."""

    lease: Lease
    end: Callable[[], LeaseState] | None
    ledger: LeaseRecorder

    @property
    def id(self) -> UUID:
        """Its id in the ledger."""
        return self.lease.id

    def extend(self, issued: Issued) -> None:
        """Tell the ledger that it lives longer now."""
        self.ledger.hold(self.id, issued.reference, issued.expires_at())
        self.lease = self.lease.model_copy(update={"expires_at": issued.expires_at()})

    @property
    def is_past_its_end(self) -> bool:
        """Whether it is over by this machine's clock, which its end was computed by."""
        return self.lease.expires_at is not None and self.lease.expires_at <= datetime.now(UTC)

    def release(self) -> LeaseState:
        """Revoke it, and say what became of it; what nobody can revoke is left to expire.

        The ledger is not told yet: see `settle`.

        Raises:
            HoldtrueError: it could not be revoked.
        """
        if self.end is not None:
            return self.end()
        return LeaseState.EXPIRED if self.is_past_its_end else LeaseState.LEFT

    def settle(self, state: LeaseState) -> None:
        """Tell the ledger what became of it. Raises HoldtrueError: the ledger could not be told."""
        self.ledger.settle(self.id, state)


def obtain(
    ledger: LeaseRecorder,
    lease: Lease,
    request: Callable[[], T],
    describe: Callable[[T], Issued],
    end: Callable[[T], LeaseState] | None,
    *,
    ends_anyway: bool = False,
) -> tuple[T, Holding]:
    """Ask for something that has a lease, with the ledger knowing of it before and after.

    Killed between the two, or without an answer, the ledger holds the request: the server may have issued something,
    although nobody can use it. `ends_anyway` says that this ends with something else that the run holds.

    Raises:
        HoldtrueError: what `request` raises, or the ledger could not be written: then nothing is kept.
    """
    ledger.request(lease)
    try:
        value = request()
    except HoldtrueError as error:
        is_lost = isinstance(error, ServiceUnreachable) and not isinstance(error, NotSent)
        if not is_lost:
            ledger.settle(lease.id, LeaseState.REFUSED)
        elif ends_anyway:
            ledger.settle(lease.id, LeaseState.LOST)
        raise
    issued = describe(value)
    try:
        ledger.hold(lease.id, issued.reference, issued.expires_at())
    except BaseException:
        if end is not None:
            end(value)
        raise
    held = lease.model_copy(
        update={"reference": issued.reference, "expires_at": issued.expires_at(), "state": LeaseState.HELD}
    )
    return value, Holding(held, None if end is None else lambda: end(value), ledger)


def requested(holder: UUID, kind: LeaseKind, *, server: str, namespace: str, path: str) -> Lease:
    """The ledger's line for something about to be asked for."""
    return Lease(
        id=uuid4(),
        holder=holder,
        kind=kind,
        server=server,
        namespace=namespace,
        path=path,
        requested_at=datetime.now(UTC),
        expires_at=None,
        state=LeaseState.REQUESTED,
    )
