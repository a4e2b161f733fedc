"""ON CONFLICT, which SQLite and PostgreSQL both have and SQLAlchemy's generic statements lack."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Engine, Table
from sqlalchemy.dialects import postgresql, sqlite

_INSERT: Final[dict[str, Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def insert_into(engine: Engine, table: Table) -> Any:
    """An INSERT of the engine's dialect, which has `on_conflict_do_update` and `on_conflict_do_nothing`."""
    return _INSERT[engine.dialect.name](table)


def insert_or_keep(engine: Engine, table: Table, row: Mapping[str, Any]) -> Any:
    """Insert the row, or keep the stored row if there is one with its key."""
    return insert_into(engine, table).values(dict(row)).on_conflict_do_nothing()
