"""What is written to the ledger and read from it: each call is one durable transaction of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, delete, exists, insert, select, update

from holdtrue.adapters.ledger.failures import translate
from holdtrue.adapters.ledger.tables import HOLDERS, LEASES
from holdtrue.errors import RejectedError, ResourceMissing
from holdtrue.models.lease import Holder, Holding, Lease, LeaseState, ProcessIdentity

_UNSETTLED: Final = tuple(state.value for state in LeaseState if not state.is_settled)


class SqlLedger:
    """A ledger in a database; threads and processes may share it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __repr__(self) -> str:
        return f"SqlLedger({self._engine.url.render_as_string()!r})"

    def open_holder(self, holder: Holder) -> None:
        """List a run; twice is once."""
        row = holder.model_dump(exclude={"process"}) | holder.process.model_dump()
        row["started_ticks"] = str(holder.process.started_ticks)
        with self._transaction("list the run") as connection:
            if not connection.scalar(select(exists().where(HOLDERS.c.id == holder.id))):
                connection.execute(insert(HOLDERS).values(row))

    def beat(self, holder_id: UUID, now: datetime) -> None:
        """The run lives. Raises ResourceMissing: it is not listed."""
        with self._transaction("note that the run lives") as connection:
            self._require(connection.execute(_of_holder(holder_id).values(beat_at=now)), holder_id)

    def close_holder(self, holder_id: UUID, now: datetime) -> None:
        """The run ended; the first end counts. Raises ResourceMissing: it is not listed."""
        with self._transaction("note that the run ended") as connection:
            ended = connection.scalar(select(HOLDERS.c.closed_at).where(HOLDERS.c.id == holder_id))
            if ended is None:
                self._require(connection.execute(_of_holder(holder_id).values(closed_at=now)), holder_id)

    def request(self, lease: Lease) -> None:
        """Something is about to be asked for. Raises RejectedError: its holder is not listed."""
        with self._transaction("note a request") as connection:
            if not connection.scalar(select(exists().where(HOLDERS.c.id == lease.holder))):
                raise RejectedError("the ledger lists no such holder", next_step="open the holder first.")
            connection.execute(insert(LEASES).values(lease.model_dump(mode="python")))

    def hold(self, lease_id: UUID, reference: str, expires_at: datetime) -> None:
        """It was issued, or renewed until then.

        Raises:
            RejectedError: it is settled.
            ResourceMissing: it is not listed.
        """
        held = {"reference": reference, "expires_at": expires_at, "state": LeaseState.HELD.value}
        with self._transaction("note a lease") as connection:
            if not connection.execute(_of_unsettled(lease_id).values(held)).rowcount:
                state = self._state(connection, lease_id)
                raise RejectedError(f"the lease is {state} already", where="ledger", next_step="ask for a new one.")

    def settle(self, lease_id: UUID, state: LeaseState) -> bool:
        """It is over; False when it was settled before, and stays as it was. Raises ResourceMissing: it is not listed.

        Of several who settle one lease at once, one is told True.
        """
        if not state.is_settled:
            raise ValueError(f"{state} settles nothing")
        with self._transaction("settle a lease") as connection:
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
        with self._transaction("read what is held") as connection:
            rows = connection.execute(statement).all()
        return tuple(_holding(list(of_holder)) for _, of_holder in groupby(rows, key=lambda row: row.id))

    def prune(self, before: datetime) -> int:
        """Forget holders that ended before then with everything settled; returns how many."""
        unsettled = exists().where(LEASES.c.holder == HOLDERS.c.id, LEASES.c.state.in_(_UNSETTLED))
        over = select(HOLDERS.c.id).where(HOLDERS.c.closed_at < before, ~unsettled)
        with self._transaction("forget old runs") as connection:
            connection.execute(delete(LEASES).where(LEASES.c.holder.in_(over)))
            return connection.execute(delete(HOLDERS).where(HOLDERS.c.closed_at < before, ~unsettled)).rowcount

    @contextmanager
    def _transaction(self, action: str) -> Iterator[Connection]:
        with translate(self._engine.url, action), self._engine.begin() as connection:
            yield connection

    def _require(self, result: Any, holder_id: UUID) -> None:
        if not result.rowcount:
            raise ResourceMissing(f"the ledger lists no holder {holder_id}", next_step="open the holder first.")

    def _state(self, connection: Connection, lease_id: UUID) -> str:
        state = connection.scalar(select(LEASES.c.state).where(LEASES.c.id == lease_id))
        if state is None:
            raise ResourceMissing(f"the ledger lists no lease {lease_id}", next_step="request the lease first.")
        return str(state)


def _of_holder(holder_id: UUID) -> Any:
    return update(HOLDERS).where(HOLDERS.c.id == holder_id)


def _of_unsettled(lease_id: UUID) -> Any:
    return update(LEASES).where(LEASES.c.id == lease_id, LEASES.c.state.in_(_UNSETTLED))


def _holding(rows: list[Row[Any]]) -> Holding:
    first = rows[0]._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    process = ProcessIdentity(
        machine=first["machine"], pid=first["pid"], started_ticks=int(first["started_ticks"]), host=first["host"]
    )
    names = ("id", "run", "run_name", "flow", "opened_at", "beat_at", "closed_at")
    holder = Holder(process=process, **{name: first[name] for name in names})
    leases = (
        Lease.model_validate({column.name: row._mapping[f"lease_{column.name}"] for column in LEASES.c})  # noqa: SLF001
        for row in rows
    )
    return Holding(holder=holder, leases=tuple(leases))
