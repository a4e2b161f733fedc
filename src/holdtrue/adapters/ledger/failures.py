"""What SQLAlchemy and its drivers raise, as our error tree.

Sources: sqlite.org/rescode.html for SQLite's texts; a connection that fails has no SQLSTATE, only libpq's text.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from holdtrue.errors import (
    AccessDenied,
    HoldtrueError,
    RejectedError,
    ResourceMissing,
    ServiceNotReady,
    ServiceUnreachable,
)

_MASK: Final = "***"

_HARMLESS: Final = frozenset(
    {
        *("application_name", "client_encoding", "dbname", "fallback_application_name", "passfile", "service", "user"),
        *("connect_timeout", "host", "hostaddr", "load_balance_hosts", "port", "target_session_attrs"),
        *("keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "tcp_user_timeout"),
        *("channel_binding", "gssencmode", "require_auth", "sslcert", "sslcompression", "sslcrl", "sslcrldir"),
        *("sslkey", "sslmode", "sslrootcert", "sslsni"),
        *("cache", "mode", "timeout", "uri"),
    }
)
"""Parameters of libpq and SQLite that hold no secret. Any other may be a password under a name that is not quite right,
such as `passwd`, or hold one, as `options` may."""

_CHECK_URL: Final = "correct HOLDTRUE_LEDGER_URL; docs/ledger.md shows its forms."

_REPLACE: Final = (
    "restore it from a backup, or move it away: a new one is made then. Correct HOLDTRUE_LEDGER_URL if it was "
    "meant to name another file."
)

_MEANINGS: Final[tuple[tuple[str, type[HoldtrueError], str, str], ...]] = (
    ("database is locked", ServiceNotReady, "another process keeps it locked", "see who writes to it for so long."),
    ("lock timeout", ServiceNotReady, "another process keeps it locked", "see who writes to it for so long."),
    ("readonly database", AccessDenied, "it cannot be written", "let the worker's user write the file and its folder."),
    ("read-only", AccessDenied, "it cannot be written", "let the worker's user write to it."),
    ("permission denied", AccessDenied, "this user may not use it", "grant the worker's user its tables."),
    ("unable to open", AccessDenied, "the file cannot be opened", "let the worker's user write it and its folder."),
    ("disk is full", ServiceNotReady, "the disk is full", "free some space."),
    ("disk i/o", ServiceNotReady, "the disk fails", "look at the machine's log."),
    ("no space left", ServiceNotReady, "the disk is full", "free some space."),
    ("not a database", RejectedError, "the file is not an SQLite database", _REPLACE),
    ("malformed", RejectedError, "the file is damaged", _REPLACE),
    ("password authentication failed", AccessDenied, "the server refused user or password", _CHECK_URL),
    ("no password supplied", AccessDenied, "the server wants a password", _CHECK_URL),
    ("no pg_hba.conf entry", AccessDenied, "the server does not admit this host or user", "change its pg_hba.conf."),
    ("too many clients", ServiceNotReady, "the server has too many connections", "raise its max_connections."),
    ("too many connections", ServiceNotReady, "the user has too many connections", "raise its connection limit."),
    ("connection slots", ServiceNotReady, "the server has too many connections", "raise its max_connections."),
    ("starting up", ServiceNotReady, "the server is starting", "wait for it."),
    ("shutting down", ServiceNotReady, "the server is stopping", "start it again."),
    ("connection option", RejectedError, "a parameter of the URL is unknown or has a wrong value", _CHECK_URL),
    ("does not exist", ResourceMissing, "there is no such database, role or table", _CHECK_URL),
)
"""Text in the driver's message (lower case), what it means, what to do."""


def passwords(url: URL) -> tuple[str, ...]:
    """What of the address is secret: libpq takes a password also as a parameter."""
    of_query = (value for name in url.query if _is_secret(name) for value in _values(url, name))
    return tuple(filter(None, (url.password, *of_query)))


def shown(url: URL) -> str:
    """The address without its passwords."""
    masked = url.update_query_dict({name: _MASK for name in url.query if _is_secret(name)})
    return masked.render_as_string(hide_password=True)


def _is_secret(parameter: str) -> bool:
    return parameter.lower() not in _HARMLESS


def _values(url: URL, name: str) -> tuple[str, ...]:
    value = url.query[name]
    return (value,) if isinstance(value, str) else value


@contextmanager
def translate(url: URL, action: str) -> Iterator[None]:
    """Raise the error of our tree for whatever the database raises in the body, with the original as its cause."""
    try:
        yield
    except SQLAlchemyError as error:
        said = str(error.orig if isinstance(error, DBAPIError) else error).lower()
        where = shown(url)
        for text, kind, meaning, next_step in _MEANINGS:
            if text in said:
                raise kind(f"could not {action} in the ledger: {meaning}", where=where, next_step=next_step) from error
        raise ServiceUnreachable(
            f"could not {action} in the ledger: the database does not answer ({type(error).__name__})",
            where=where,
            next_step="start it, or correct HOLDTRUE_LEDGER_URL.",
        ) from error
