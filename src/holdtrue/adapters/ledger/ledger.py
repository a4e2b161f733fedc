"""Runs and what they hold of other systems: each call is one durable transaction of its own."""

from datetime import datetime
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, delete, exists, insert, or_, select, update

from holdtrue.adapters.ledger.approvals import SqlApprovals
from holdtrue.adapters.ledger.database import transaction
from holdtrue.adapters.ledger.failures import shown
from holdtrue.adapters.ledger.handlers import SqlHandlers
from holdtrue.adapters.ledger.locks import SqlLocks
from holdtrue.adapters.ledger.rows import holder_of, silence
from holdtrue.adapters.ledger.tables import HOLDERS, LEASES, LOCKS, NOW
from holdtrue.errors import RejectedError, ResourceMissing
from holdtrue.models.lease import Holder, Holding, Lease, LeaseState

_UNSETTLED: Final = tuple(state.value for state in LeaseState if not state.is_settled)


class SqlLedger:
    """A ledger in a database; threads and processes may share it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.locks: Final = SqlLocks(engine)
        self.handlers: Final = SqlHandlers(engine)
        self.approvals: Final = SqlApprovals(engine)

    def __repr__(self) -> str:
        return f"SqlLedger({shown(self._engine.url)!r})"

    def open_holder(self, holder: Holder) -> None:
        """List a run, which lives now; twice is once."""
        row = holder.model_dump(exclude={"process"}) | holder.process.model_dump()
        row |= {"started_ticks": str(holder.process.started_ticks), "beat_at": NOW}
        with transaction(self._engine, "list the run") as connection:
            if not connection.scalar(select(exists().where(HOLDERS.c.id == holder.id))):
                connection.execute(insert(HOLDERS).values(row))

    def beat(self, holder_id: UUID) -> None:
        """The run lives.

        Raises:
            RejectedError: it ended.
            ResourceMissing: it is not listed.
        """
        with transaction(self._engine, "note that the run lives") as connection:
            if not connection.execute(_of_holder(holder_id).values(beat_at=NOW)).rowcount:
                self._require(connection, holder_id)
                raise self._ended(holder_id)

    def close_holder(self, holder_id: UUID, now: datetime) -> None:
        """The run ended and holds no lock any more; the first end counts. Raises ResourceMissing: it is not listed."""
        with transaction(self._engine, "note that the run ended") as connection:
            ended = connection.execute(_of_holder(holder_id).values(closed_at=now)).rowcount
            connection.execute(update(LOCKS).where(LOCKS.c.holder == holder_id).values(holder=None))
            if not ended:
                self._require(connection, holder_id)

    def request(self, lease: Lease) -> None:
        """Something is about to be asked for.

        Raises:
            RejectedError: its holder ended, or is not listed.
        """
        with transaction(self._engine, "note a request") as connection:
            holder = connection.execute(select(HOLDERS.c.closed_at).where(HOLDERS.c.id == lease.holder)).first()
            if holder is None:
                raise RejectedError("the ledger lists no such holder", next_step="open the holder first.")
            if holder.closed_at is not None:
                raise self._ended(lease.holder)
            connection.execute(insert(LEASES).values(lease.model_dump(mode="python")))

    def hold(self, lease_id: UUID, reference: str, expires_at: datetime) -> None:
        """It was issued, or renewed until then.

        Raises:
            RejectedError: it is settled.
            ResourceMissing: it is not listed.
        """
        held = {"reference": reference, "expires_at": expires_at, "state": LeaseState.HELD.value}
        with transaction(self._engine, "note a lease") as connection:
            if not connection.execute(_of_unsettled(lease_id).values(held)).rowcount:
                state = self._state(connection, lease_id)
                raise RejectedError(f"the lease is {state} already", where="ledger", next_step="ask for a new one.")

    def settle(self, lease_id: UUID, state: LeaseState) -> bool:
        """It is over; False when it was settled before, and stays as it was. Raises ResourceMissing: it is not listed.

        Of several who settle one lease at once, one is told True.
        """
        if not state.is_settled:
            raise ValueError(f"{state} settles nothing")
        with transaction(self._engine, "settle a lease") as connection:
            is_first = bool(connection.execute(_of_unsettled(lease_id).values(state=state.value)).rowcount)
            if not is_first:
                self._state(connection, lease_id)
            return is_first

    def unsettled(self) -> tuple[Holding, ...]:
        """Every holder with leases that are requested or held, in the order in which they came."""
        statement = (
            select(HOLDERS, *(column.label(f"lease_{column.name}") for column in LEASES.c))
            .join(LEASES, LEASES.c.holder == HOLDERS.c.id)
            .where(LEASES.c.state.in_(_UNSETTLED))
            .order_by(HOLDERS.c.opened_at, HOLDERS.c.id, LEASES.c.requested_at)
        )
        with transaction(self._engine, "read what is held") as connection:
            rows = connection.execute(statement).all()
            now = connection.execute(select(NOW)).scalar_one()
        return tuple(_holding(list(of_holder), now) for _, of_holder in groupby(rows, key=lambda row: row.id))

    def prune(self, before: datetime) -> int:
        """Forget holders that ended or fell silent before then with everything settled and no lock held; how many."""
        unsettled = exists().where(LEASES.c.holder == HOLDERS.c.id, LEASES.c.state.in_(_UNSETTLED))
        locking = exists().where(LOCKS.c.holder == HOLDERS.c.id)
        over = or_(HOLDERS.c.closed_at < before, HOLDERS.c.closed_at.is_(None) & (HOLDERS.c.beat_at < before))
        with transaction(self._engine, "forget old runs") as connection:
            old = select(HOLDERS.c.id).where(over, ~unsettled, ~locking)
            connection.execute(delete(LEASES).where(LEASES.c.holder.in_(old)))
            return connection.execute(delete(HOLDERS).where(over, ~unsettled, ~locking)).rowcount

    def _require(self, connection: Connection, holder_id: UUID) -> None:
        if not connection.scalar(select(exists().where(HOLDERS.c.id == holder_id))):
            raise ResourceMissing(f"the ledger lists no holder {holder_id}", next_step="open the holder first.")

    def _ended(self, holder_id: UUID) -> RejectedError:
        return RejectedError(
            f"the run of holder {holder_id} is over: it may hold nothing more",
            where=shown(self._engine.url),
            next_step="start the run again.",
        )

    def _state(self, connection: Connection, lease_id: UUID) -> str:
        state = connection.scalar(select(LEASES.c.state).where(LEASES.c.id == lease_id))
        if state is None:
            raise ResourceMissing(f"the ledger lists no lease {lease_id}", next_step="request the lease first.")
        return str(state)


def _of_holder(holder_id: UUID) -> Any:
    """A run that did not end: what ended stays as it is."""
    return update(HOLDERS).where(HOLDERS.c.id == holder_id, HOLDERS.c.closed_at.is_(None))


def _of_unsettled(lease_id: UUID) -> Any:
    return update(LEASES).where(LEASES.c.id == lease_id, LEASES.c.state.in_(_UNSETTLED))


def _holding(rows: list[Row[Any]], now: datetime) -> Holding:
    holder = holder_of(rows[0]._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    leases = (
        Lease.model_validate({column.name: row._mapping[f"lease_{column.name}"] for column in LEASES.c})  # noqa: SLF001
        for row in rows
    )
    return Holding(holder=holder, leases=tuple(leases), silent_seconds=silence(holder, now))
