"""Advisories as an OSV API served them, kept between runs in one SQLite file.

Only what an API still names with the same date of change is taken from here, so nothing in it grows too old. It is
never needed: a file that cannot be read, written or waited for costs requests, and one that is broken is made anew.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

_FILE_NAME: Final = "osv-advisories-2.sqlite3"
"""The number is that of its layout, so that releases with another one leave it alone."""

_LOCK_SECONDS: Final = 5.0


class AdvisoryCache:
    """The raw JSON of advisories by API, id and date of change; several processes may use one file at once.

    Args:
        folder: Made with its parents when it is missing; None keeps nothing.
        address: Base address of the API that served them.
    """

    def __init__(self, folder: Path | None, address: str) -> None:
        self._file = None if folder is None else folder / _FILE_NAME
        self._address = address

    def read(self, wanted: Mapping[str, str]) -> dict[str, bytes]:
        """The JSON text of the ids in `wanted` that are kept with the date of change given there."""

        def look_up(connection: sqlite3.Connection) -> dict[str, bytes]:
            question = "SELECT record FROM advisory WHERE address = ? AND id = ? AND modified = ?"
            rows = (
                (name, connection.execute(question, (self._address, name, wanted[name])).fetchone()) for name in wanted
            )
            return {name: row[0] for name, row in rows if row}

        return self._use(look_up, {}) if wanted else {}

    def write(self, records: Iterable[tuple[str, str, bytes]]) -> None:
        """Keep each (id, date of change, JSON text), in place of what was kept for the id."""
        rows = [(self._address, *record) for record in records]
        if rows:
            self._use(
                lambda connection: connection.executemany("INSERT OR REPLACE INTO advisory VALUES (?, ?, ?, ?)", rows),
                None,
            )

    def _use(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        if self._file is None:
            return otherwise
        try:
            with _open(self._file) as connection:
                return work(connection)
        except (sqlite3.OperationalError, OSError):
            # Locked, read-only, full, no such folder: the file is not to blame.
            return otherwise
        except sqlite3.DatabaseError:
            for name in (_FILE_NAME, f"{_FILE_NAME}-journal"):
                with suppress(OSError):
                    self._file.with_name(name).unlink(missing_ok=True)
            return otherwise


@contextmanager
def _open(file: Path) -> Iterator[sqlite3.Connection]:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(sqlite3.connect(file, timeout=_LOCK_SECONDS)) as connection, connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS advisory "
            "(address TEXT, id TEXT, modified TEXT, record BLOB, PRIMARY KEY (address, id))"
        )
        yield connection
