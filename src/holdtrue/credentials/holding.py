"""One thing that a run holds and has to end: written to the ledger before it is asked for, settled when it is over."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar
from uuid import UUID, uuid4

from holdtrue.adapters.vault import NotSent
from holdtrue.errors import HoldtrueError, ServiceUnreachable
from holdtrue.models.lease import Lease, LeaseKind, LeaseRecorder, LeaseState
from holdtrue.runtime.redaction import SecretHolder

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Issued:
    """What an answer says about the lease that came with it; never the value."""

    reference: str
    """What it is revoked by: a token's accessor, a lease id, a certificate's serial."""
    ttl_seconds: int


class Custodian(Protocol):
    """Who ends what is obtained: the scope."""

    @property
    def holder(self) -> UUID:
        """The scope's id in the ledger."""

    @property
    def secrets(self) -> SecretHolder:
        """Holds the secrets of what was obtained or is served, until the scope is over."""

    def ledger(self) -> LeaseRecorder:
        """The ledger, opened, with the holder in it. Raises RejectedError: the scope is over."""

    def note(self, line: Lease) -> None:
        """Change the ledger's line of a lease, as soon as the ledger answers."""

    def keep(self, holding: "Holding") -> None:
        """End this with the scope. Raises RejectedError: the scope is over, and this was ended at once."""


@dataclass(slots=True)
class Holding:
    """A lease in hand. `end` revokes it and says what became of it; None stands for what nobody can revoke."""

    lease: Lease
    end: Callable[[], LeaseState] | None
    note: Callable[[Lease], None]

    @property
    def id(self) -> UUID:
        """Its id in the ledger."""
        return self.lease.id

    def extend(self, ttl_seconds: int) -> None:
        """Note that it expires this long from now; the ledger is updated when it answers."""
        until = datetime.now(UTC) + timedelta(seconds=ttl_seconds)
        self.lease = self.lease.model_copy(update={"expires_at": until})
        self.note(self.lease)

    @property
    def is_past_its_end(self) -> bool:
        """Whether it is over by this machine's clock, which its end was computed by."""
        return self.lease.expires_at is not None and self.lease.expires_at <= datetime.now(UTC)

    def release(self) -> None:
        """Revoke it; what nobody can revoke is left to expire. The ledger is updated when it answers.

        Raises:
            HoldtrueError: it could not be revoked.
        """
        unrevoked = LeaseState.EXPIRED if self.is_past_its_end else LeaseState.LEFT
        state = unrevoked if self.end is None else self.end()
        self.note(self.lease.model_copy(update={"state": state}))


def obtain(
    custodian: Custodian,
    lease: Lease,
    request: Callable[[], T],
    describe: Callable[[T], Issued],
    end: Callable[[T], LeaseState] | None,
    *,
    ends_anyway: bool = False,
) -> tuple[T, Holding]:
    """Ask for something that has a lease, and record it in the ledger before and after.

    Secrets that `request` registers are held by the custodian as well. If no answer arrives, or the process is killed
    before the answer is recorded, the ledger still lists the request: the server may have issued something, although
    nobody can use it. `ends_anyway` says that this ends with something else that the run holds.

    Raises:
        HoldtrueError: what `request` raises, or the ledger could not be written: then nothing is kept.
    """
    ledger = custodian.ledger()
    ledger.request(lease)
    with custodian.secrets.collecting():
        value = _answer(custodian, lease, request, ends_anyway=ends_anyway)
    issued = describe(value)
    until = datetime.now(UTC) + timedelta(seconds=issued.ttl_seconds)
    held = lease.model_copy(update={"reference": issued.reference, "expires_at": until, "state": LeaseState.HELD})
    ending = None if end is None else lambda: end(value)
    try:
        ledger.hold(lease.id, issued.reference, until)
    except BaseException:
        _give_back(custodian, held, ending)
        raise
    return value, Holding(held, ending, custodian.note)


def _answer(custodian: Custodian, lease: Lease, request: Callable[[], T], *, ends_anyway: bool) -> T:
    try:
        return request()
    except HoldtrueError as error:
        is_lost = isinstance(error, ServiceUnreachable) and not isinstance(error, NotSent)
        if not is_lost:
            custodian.note(lease.model_copy(update={"state": LeaseState.REFUSED}))
        elif ends_anyway:
            custodian.note(lease.model_copy(update={"state": LeaseState.LOST}))
        raise


def _give_back(custodian: Custodian, held: Lease, end: Callable[[], LeaseState] | None) -> None:
    """Revoke what could not be recorded. If it is still valid after that, it is noted for the sweep."""
    state = LeaseState.HELD
    try:
        if end is not None:
            state = end()
    finally:
        custodian.note(held.model_copy(update={"state": state}))


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
