"""Opens a ledger's database: files with the right modes, engines with the right pragmas, tables up to date."""

import fcntl
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TextIO

from pydantic import SecretStr
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from holdtrue.adapters.ledger.failures import passwords, shown, translate
from holdtrue.errors import AccessDenied, RejectedError, ResourceMissing, ServiceNotReady, SettingInvalid, ToolMissing
from holdtrue.runtime.redaction import register_secret

HEAD: Final = "0004"
"""The newest migration; a test compares it with the folder."""

_WAIT_SECONDS: Final = 10
"""For a lock that another process holds, for a connection to PostgreSQL, and for what is then asked over it."""

_QUEUE_SECONDS: Final = 120
"""For workers that start together and make or migrate the tables one after the other."""

_POLL_SECONDS: Final = 0.05

_ADVISORY_LOCK: Final = 7_205_421_886_103_418_177
"""Any number that is ours: who migrates a PostgreSQL ledger holds this lock."""


def connect(url: str, *, must_exist: bool = False) -> Engine:
    """An engine on an up-to-date ledger; raises what `open_ledger` says.

    It keeps no connection open: a run notes something every ten seconds, and many workers share one server.
    """
    address = _address(url)
    is_sqlite = address.get_backend_name() == "sqlite"
    engine = _sqlite(address, must_exist=must_exist) if is_sqlite else _postgresql(address)
    with translate(address, "open what is held"):
        version = _version(engine)
        if version is None and must_exist:
            raise _no_ledger(shown(engine.url))
        if version != HEAD:
            _migrate(engine)
    return engine


@contextmanager
def transaction(engine: Engine, action: str) -> Iterator[Connection]:
    """One durable transaction; what the database raises in it is an error of our tree that names the action."""
    with translate(engine.url, action), engine.begin() as connection:
        yield connection


def _address(url: str) -> URL:
    # What follows an unquoted @ in a password is read as host, port and database: it must not be shown as such.
    refusal = SettingInvalid(
        "the ledger's address is not a database URL",
        where="HOLDTRUE_LEDGER_URL",
        next_step="write sqlite:////path/ledger.db or postgresql+psycopg://user:password@host/database, with every "
        "character of the password that is no letter or digit as %XX.",
    )
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        raise refusal from None
    if address.host is not None and "@" in f"{address.host}/{address.database}":
        raise refusal
    if address.get_backend_name() not in ("sqlite", "postgresql"):
        raise SettingInvalid(
            f"a ledger cannot be kept in {address.get_backend_name()}",
            where="HOLDTRUE_LEDGER_URL",
            next_step="use SQLite or PostgreSQL.",
        )
    for password in passwords(address):
        register_secret(SecretStr(password), name="the password of HOLDTRUE_LEDGER_URL")
    return address


def _no_ledger(where: str) -> ResourceMissing:
    return ResourceMissing(
        "there is no ledger here",
        where=where,
        next_step="let HOLDTRUE_LEDGER_URL name the ledger of the workers; the first run that uses it creates it.",
    )


def _sqlite(address: URL, *, must_exist: bool) -> Engine:
    if not address.database or address.database == ":memory:":
        raise SettingInvalid(
            "a ledger in memory would not outlive its run",
            where="HOLDTRUE_LEDGER_URL",
            next_step="name a file: sqlite:////var/lib/holdtrue/ledger.db.",
        )
    path = Path(address.database).expanduser()
    if must_exist and not os.path.lexists(path):
        raise _no_ledger(str(path))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        raise AccessDenied(
            f"the ledger's file cannot be made ({error.strerror})",
            where=str(path),
            next_step="let the worker's user write there, or let HOLDTRUE_LEDGER_URL name another file.",
        ) from error
    engine = create_engine(address.set(database=str(path)), poolclass=NullPool, connect_args={"timeout": _WAIT_SECONDS})
    event.listen(engine, "connect", _configure_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    """Readers beside a writer, nothing lost at a power cut, and references that hold."""
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _postgresql(address: URL, patience_seconds: float | None = None) -> Engine:
    """An engine whose connections, each made for one transaction, are cut after this time; None for the usual one."""
    patience = patience_seconds or 2 * _WAIT_SECONDS
    try:
        engine = create_engine(address, poolclass=NullPool, connect_args={"connect_timeout": _WAIT_SECONDS})
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise ToolMissing(
            "the driver for PostgreSQL is not installed",
            where=shown(address),
            next_step="install holdtrue[postgresql], and write postgresql+psycopg:// in HOLDTRUE_LEDGER_URL.",
        ) from error
    event.listen(engine, "begin", _limit_waiting)
    # Before SQLAlchemy's own first questions.
    event.listen(engine, "connect", lambda connection, record: _cut_after(patience, connection, record), insert=True)
    event.listen(engine, "close", lambda _, record: _let_go(record))
    return engine


def _cut_after(seconds: float, connection: Any, record: Any) -> None:
    """End the connection when it lasts too long: to a server that froze, the system still reports it as alive.

    libpq knows no limit for an answer (its keepalives and tcp_user_timeout watch the system, not the server).
    """
    wire = socket.socket(fileno=os.dup(connection.fileno()))
    timer = threading.Timer(seconds, _cut, (wire,))
    timer.daemon = True
    # Python 3.12 cannot start a thread while it exits. At that point the end of the run limits the wait.
    with suppress(RuntimeError):
        timer.start()
    record.info["limit"] = (timer, wire)


def _cut(wire: socket.socket) -> None:
    with suppress(OSError):  # It ended by itself just now.
        wire.shutdown(socket.SHUT_RDWR)


def _let_go(record: Any) -> None:
    timer, wire = record.info.pop("limit")
    timer.cancel()
    wire.close()


def _limit_waiting(connection: Connection) -> None:
    """Not a startup option, which a pooler between here and the server may refuse."""
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_WAIT_SECONDS}s'")


def _version(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        version: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return version


def _migrate(engine: Engine) -> None:
    from alembic import command  # noqa: PLC0415 - only a new or an old ledger needs it
    from alembic.config import Config  # noqa: PLC0415 - same
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - same

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with _alone(engine) as connection:
        found = _version(engine)
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if found is not None and found not in known:
            raise RejectedError(
                f"a newer Holdtrue has migrated the ledger to version {found}; this one knows {HEAD}",
                where=shown(engine.url),
                next_step="upgrade this worker.",
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A connection while no other process migrates."""
    if engine.url.get_backend_name() == "sqlite":
        with Path(f"{engine.url.database}.lock").open("w") as lock, engine.begin() as connection:
            _lock(lock)
            yield connection
    else:
        with _postgresql(engine.url, _QUEUE_SECONDS).begin() as connection:
            connection.execute(text(f"SET LOCAL lock_timeout = '{_QUEUE_SECONDS}s'"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
            yield connection


def _lock(file: TextIO) -> None:
    deadline = time.monotonic() + _QUEUE_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                continue
            raise ServiceNotReady(
                f"another process has been making or migrating the ledger for more than {_QUEUE_SECONDS} s",
                where=file.name,
                next_step="see who keeps this file locked, and end it.",
            ) from None
        return
