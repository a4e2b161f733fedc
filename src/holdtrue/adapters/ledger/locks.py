"""Locks of environments: who gets one is decided by a single statement of the database."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, String, exists, literal, or_, select, update

from holdtrue.adapters.ledger.database import transaction
from holdtrue.adapters.ledger.dialects import insert_into
from holdtrue.adapters.ledger.failures import shown
from holdtrue.adapters.ledger.rows import holder_of, silence
from holdtrue.adapters.ledger.tables import HOLDERS, LOCKS, NOW
from holdtrue.errors import RejectedError
from holdtrue.models.lock import EnvironmentLock


class SqlLocks:
    """The locks of a ledger in a database; threads and processes may share it.

    A released lock keeps its row, because its fence must never come again.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def acquire(self, environment: str, holder: UUID, *, take_over_fence: int | None = None) -> EnvironmentLock | None:
        """Take it with the next fence if it is free, or if its fence is `take_over_fence`; None when it is held.

        Raises:
            RejectedError: the run ended, or is not listed.
        """
        with transaction(self._engine, "take the environment's lock") as connection:
            if connection.execute(self._taking(environment, holder, take_over_fence)).first() is None:
                self._require_open(connection, holder)
                return None
            return self._find(connection, environment)

    def release(self, environment: str, fence: int) -> bool:
        """Free it if this fence still holds it; False when it does not."""
        held = LOCKS.c.environment == environment, LOCKS.c.fence == fence, LOCKS.c.holder.is_not(None)
        with transaction(self._engine, "release the environment's lock") as connection:
            return bool(connection.execute(update(LOCKS).where(*held).values(holder=None)).rowcount)

    def find(self, environment: str) -> EnvironmentLock | None:
        """The lock as it is now; None when it was never taken."""
        with transaction(self._engine, "read the environment's lock") as connection:
            return self._find(connection, environment)

    def all(self) -> tuple[EnvironmentLock, ...]:
        """Every lock that was ever taken, by environment."""
        with transaction(self._engine, "read the locks") as connection:
            return tuple(_lock(row) for row in connection.execute(_found().order_by(LOCKS.c.environment)))

    def _taking(self, environment: str, holder: UUID, take_over_fence: int | None) -> Any:
        """One statement that looks and takes.

        Both databases run it alone on its row: SQLite has one writer at a time, PostgreSQL locks the row and looks at
        its newest version (docs: "INSERT", ON CONFLICT DO UPDATE).
        """
        columns = ("environment", "fence", "holder", "acquired_at")
        taker = select(literal(environment, String), literal(1), HOLDERS.c.id, NOW)
        new = insert_into(self._engine, LOCKS).from_select(
            columns, taker.where(HOLDERS.c.id == holder, HOLDERS.c.closed_at.is_(None))
        )
        is_free = LOCKS.c.holder.is_(None)
        return new.on_conflict_do_update(
            index_elements=[LOCKS.c.environment],
            set_={
                "fence": LOCKS.c.fence + 1,
                "holder": new.excluded.holder,
                "acquired_at": new.excluded.acquired_at,
            },
            where=is_free if take_over_fence is None else or_(is_free, LOCKS.c.fence == take_over_fence),
        ).returning(LOCKS.c.fence)

    def _find(self, connection: Connection, environment: str) -> EnvironmentLock | None:
        row = connection.execute(_found().where(LOCKS.c.environment == environment)).first()
        return None if row is None else _lock(row)

    def _require_open(self, connection: Connection, holder: UUID) -> None:
        is_open = exists().where(HOLDERS.c.id == holder, HOLDERS.c.closed_at.is_(None))
        if not connection.scalar(select(is_open)):
            raise RejectedError(
                f"the run of holder {holder} is over, or not listed: it may lock nothing",
                where=shown(self._engine.url),
                next_step="start the run again.",
            )


def _found() -> Any:
    locks = (LOCKS.c.environment, LOCKS.c.fence, LOCKS.c.acquired_at)
    return select(*locks, NOW.label("now"), HOLDERS).outerjoin_from(LOCKS, HOLDERS, LOCKS.c.holder == HOLDERS.c.id)


def _lock(row: Row[Any]) -> EnvironmentLock:
    columns = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    holder = None if columns["id"] is None else holder_of(columns)
    return EnvironmentLock(
        environment=columns["environment"],
        fence=columns["fence"],
        holder=holder,
        acquired_at=columns["acquired_at"],
        silent_seconds=0.0 if holder is None else silence(holder, columns["now"]),
    )
