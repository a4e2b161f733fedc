"""Every column of every table of a database, through SQLAlchemy, read-only."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, inspect, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from holdtrue.adapters.leaks.record import SearchRecord
from holdtrue.core.redaction import redact
from holdtrue.errors import RejectedError, ToolMissing
from holdtrue.models.leak import Database

_BATCH_ROWS: Final = 500
_WAIT_SECONDS: Final = 5
_DRIVERS: Final = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "sqlite": "sqlite"}
"""What reads synchronously: Prefect's own URLs name asyncpg and aiosqlite."""
_SYSTEM_SCHEMAS: Final = frozenset(
    {"information_schema", "pg_catalog", "pg_toast", "mysql", "performance_schema", "sys"}
)


def search_database(record: SearchRecord, place: Database) -> None:
    """Look at every value of every table, and at the names and definitions of tables.

    Raises:
        RejectedError: the URL is none, or of an unknown kind of database.
        ToolMissing: the database's driver is not installed.
    """
    url = _parse(place.url.get_secret_value())
    shown = url.render_as_string(hide_password=True)
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            tables = list(_tables(engine, connection))
            for table in tables:
                with _gap(record, f"{shown} table {table}", url, connection):
                    _search_table(record, shown, connection, table)
        if not tables:
            record.miss(shown, "it has no table")
    except SQLAlchemyError as error:
        record.miss(shown, _said(error, url))
    finally:
        engine.dispose()


def _parse(given: str) -> URL:
    try:
        url = make_url(given)
    except ArgumentError as error:
        raise RejectedError(
            "this is no database URL",
            next_step="write it as SQLAlchemy does: sqlite:////path, postgresql://user@host/database.",
        ) from error
    backend = url.get_backend_name()
    return url.set(drivername=_DRIVERS.get(backend, url.drivername))


def _engine(url: URL) -> Engine:
    try:
        if url.get_backend_name() == "sqlite":
            path = quote(str(Path(url.database or "").expanduser().absolute()))
            return create_engine("sqlite://", creator=lambda: _open_sqlite(path))
        if url.get_backend_name() == "postgresql":
            arguments = {"connect_timeout": _WAIT_SECONDS, "options": "-c default_transaction_read_only=on"}
            return create_engine(url, connect_args=arguments)
        return create_engine(url)
    except NoSuchModuleError as error:
        raise RejectedError(f"{url.get_backend_name()} is no known kind of database") from error
    except ImportError as error:
        raise ToolMissing(
            f"the driver of {url.drivername} is not installed",
            next_step=f"pip install {error.name}, or holdtrue[postgresql].",
        ) from error


def _open_sqlite(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_WAIT_SECONDS)
    connection.text_factory = lambda raw: raw.decode(errors="surrogateescape")  # a text may be none that is UTF-8
    return connection


def _tables(engine: Engine, connection: Connection) -> Iterator[str]:
    """Their quoted names, with schemas where the database has several."""
    inspector = inspect(connection)
    quoted = engine.dialect.identifier_preparer.quote
    if engine.dialect.name == "sqlite":
        if inspector.get_table_names():
            yield from (*(quoted(name) for name in inspector.get_table_names()), "sqlite_master")
        return
    for schema in inspector.get_schema_names():
        if schema not in _SYSTEM_SCHEMAS:
            names = inspector.get_table_names(schema=schema)
            if engine.dialect.name == "postgresql":
                names += inspector.get_materialized_view_names(schema=schema)
            yield from (f"{quoted(schema)}.{quoted(name)}" for name in names)


def _search_table(record: SearchRecord, shown: str, connection: Connection, table: str) -> None:
    # As the driver gives them: SQLAlchemy's own types would refuse what an application wrote in its own way.
    statement = text(f"SELECT * FROM {table}")  # noqa: S608 - names of the database itself, quoted by its dialect
    result = connection.execution_options(stream_results=True, yield_per=_BATCH_ROWS).execute(statement)
    with closing(result):
        columns = list(result.keys())
        record.look_at_name(f"{shown} table {table}", "\n".join(columns).encode())
        first = 1
        for rows in result.partitions(_BATCH_ROWS):
            cells = [[_bytes(value) for value in row] for row in rows]
            together = b"\n".join(cell for row in cells for cell in row)
            record.searched += 1
            record.searched_bytes += len(together)
            if record.holds(together):
                _search_rows(record, f"{shown} table {table}", columns, cells, first)
            first += len(rows)


def _search_rows(record: SearchRecord, place: str, columns: list[str], cells: list[list[bytes]], first: int) -> None:
    for number, row in enumerate(cells, start=first):
        for column, cell in zip(columns, row, strict=True):
            if record.holds(cell):
                record.look_at(f"{place}, column {column}, row {number}", cell)


def _bytes(value: Any) -> bytes:
    """A cell as it would be read by a person, or as it is when it is binary."""
    if value is None:
        return b""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=str).encode(errors="surrogateescape")
    return str(value).encode(errors="surrogateescape")


@contextmanager
def _gap(record: SearchRecord, place: str, url: URL, connection: Connection) -> Iterator[None]:
    """One table that cannot be read hides no other."""
    try:
        yield
    except SQLAlchemyError as error:
        record.miss(place, _said(error, url))
        connection.rollback()


def _said(error: SQLAlchemyError, url: URL) -> str:
    said = str(error.orig) if isinstance(error, DBAPIError) else type(error).__name__
    first = said.strip().splitlines()[0] if said.strip() else type(error).__name__
    return redact(first, [url.password] if url.password else [])
