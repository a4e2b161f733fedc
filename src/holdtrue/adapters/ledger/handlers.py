"""Handlers that were notified and have not run: one row each."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Engine, delete, exists, insert, select

from holdtrue.adapters.ledger.database import transaction
from holdtrue.adapters.ledger.tables import HANDLERS, NOW
from holdtrue.models.handlers import OpenHandler

_NAME_LIMIT: Final = 512
"""Characters of a name that the table has room for."""


class SqlHandlers:
    """The handlers of a ledger in a database. Only the run that holds an environment's lock adds to its handlers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, environment: str, host: str, handler: str) -> None:
        """It was notified; when that was noted before, the first time stays."""
        name = handler[:_NAME_LIMIT]
        row = {"environment": environment, "host": host, "handler": name}
        is_noted = exists().where(*(HANDLERS.c[column] == value for column, value in row.items()))
        with transaction(self._engine, "note a handler") as connection:
            if not connection.scalar(select(is_noted)):
                connection.execute(insert(HANDLERS).values(row | {"notified_at": NOW}))

    def remove(self, environment: str, host: str, handlers: Iterable[str]) -> int:
        """Those of these names ran, or a person says that they need not; how many were noted."""
        names = [handler[:_NAME_LIMIT] for handler in handlers]
        these = HANDLERS.c.environment == environment, HANDLERS.c.host == host, HANDLERS.c.handler.in_(names)
        with transaction(self._engine, "note that a handler ran") as connection:
            return connection.execute(delete(HANDLERS).where(*these)).rowcount

    def all(self, environment: str | None = None) -> tuple[OpenHandler, ...]:
        """What is noted, of one environment or of all."""
        columns = HANDLERS.c.environment, HANDLERS.c.host, HANDLERS.c.handler
        wanted = select(HANDLERS).order_by(*columns)
        if environment is not None:
            wanted = wanted.where(HANDLERS.c.environment == environment)
        with transaction(self._engine, "read the handlers") as connection:
            return tuple(OpenHandler.model_validate(dict(row._mapping)) for row in connection.execute(wanted))  # noqa: SLF001 - SQLAlchemy's public name for it
