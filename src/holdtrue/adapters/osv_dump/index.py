"""A dump's advisories in SQLite, by package and by id.

An index on disk is whole or not there: it is filled in memory and copied to a file of another name, which takes its
own name in one step. Whoever finds one that cannot be read builds it again.
"""

import json
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from holdtrue.adapters.osv_dump.stored_record import decode, encode
from holdtrue.core.osv_record import NotAnAdvisory, parse_record, read_moment
from holdtrue.core.version_match import without_covered_versions
from holdtrue.models.osv import AdvisoryRecord

SCHEMA_VERSION: Final = 3
"""Part of an index's name; raise it with any change of tables, of `stored_record`, or of how records are read."""

_NAMES_PER_QUERY: Final = 500
"""SQLite takes at least 999 variables."""
_ABANDONED_SECONDS: Final = 3600
_UNFINISHED: Final = ".unfinished"
_TABLES: Final = """
CREATE TABLE contents (records INTEGER NOT NULL, unreadable INTEGER NOT NULL, newest TEXT);
CREATE TABLE record (number INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE package (name TEXT, number INTEGER, PRIMARY KEY (name, number)) WITHOUT ROWID;
CREATE TABLE severity (id TEXT, number INTEGER, PRIMARY KEY (id, number)) WITHOUT ROWID;
"""


class IndexUnusable(Exception):
    """There is no index, or it cannot be read."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a dump holds.

    Attributes:
        records: Advisories on PyPI packages, with the withdrawn ones.
        unreadable: Documents that are no advisory.
        newest: The latest time at which an advisory of any ecosystem was modified; None when none says.
    """

    records: int
    unreadable: int
    newest: datetime | None


class Index:
    """Questions to an index, open until `close`. Each raises IndexUnusable when it cannot be answered."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def contents(self) -> Contents:
        """What the dump holds."""
        with _damage():
            ((records, unreadable, newest),) = self._connection.execute("SELECT * FROM contents")
            return Contents(records, unreadable, datetime.fromisoformat(newest) if newest else None)

    def about(self, names: Sequence[str]) -> dict[str, list[AdvisoryRecord]]:
        """The advisories on each of these packages that has some."""
        return self._look_up("SELECT name, body FROM package JOIN record USING (number) WHERE name IN", names)

    def rated(self, ids: Sequence[str]) -> dict[str, list[AdvisoryRecord]]:
        """The advisories with a severity that have, or name as an alias, one of these ids."""
        return self._look_up("SELECT id, body FROM severity JOIN record USING (number) WHERE id IN", ids)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def save(self, target: Path) -> None:
        """Put it on disk as `target`, whole.

        Raises:
            OSError, sqlite3.Error: the folder takes no files, or is full.
        """
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=target.stem, suffix=_UNFINISHED, delete=False
        ) as file:
            unfinished = Path(file.name)
            try:
                with closing(sqlite3.connect(unfinished)) as copy:
                    copy.execute("PRAGMA journal_mode = OFF")  # a copy that is cut short is thrown away
                    self._connection.backup(copy)
                unfinished.replace(target)
            finally:
                unfinished.unlink(missing_ok=True)

    def _look_up(self, statement: str, keys: Sequence[str]) -> dict[str, list[AdvisoryRecord]]:
        found: dict[str, list[AdvisoryRecord]] = {}
        with _damage():
            for start in range(0, len(keys), _NAMES_PER_QUERY):
                chunk = keys[start : start + _NAMES_PER_QUERY]
                marks = ",".join("?" * len(chunk))
                rows = self._connection.execute(f"{statement} ({marks})", chunk).fetchall()
                for (key, _), record in zip(rows, decode(body for _, body in rows), strict=True):
                    found.setdefault(key, []).append(record)
        return found


def open_index(path: Path) -> Index:
    """The index that lies there.

    Raises:
        IndexUnusable: nothing lies there, or it is none.
    """
    with _damage():
        return Index(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True))


def build_index(documents: Iterable[bytes | None], now: datetime) -> Index:
    """An index in memory of these JSON documents; None stands for one that cannot be read.

    Of records with one id the last modified one counts, and of equally old ones the later. What is withdrawn by now is
    counted and not kept.
    """
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(_TABLES)
        with connection:
            _fill(connection, documents, now)
    except BaseException:
        connection.close()
        raise
    return Index(connection)


def remove_others(path: Path, prefix: str) -> None:
    """Take away the other indexes of that prefix beside this one, and what a killed process left half done."""
    with suppress(OSError):
        for other in path.parent.glob(f"{prefix}*"):
            is_index = other.suffix == path.suffix and other != path
            if is_index or (other.suffix == _UNFINISHED and time.time() - other.stat().st_mtime > _ABANDONED_SECONDS):
                other.unlink(missing_ok=True)


def _fill(connection: sqlite3.Connection, documents: Iterable[bytes | None], now: datetime) -> None:
    kept: dict[str, tuple[str, int]] = {}
    records = unreadable = 0
    newest = ""
    for number, document in enumerate(documents):
        record = _read(document)
        if record is None:
            unreadable += 1
            continue
        records += bool(record.affected)
        moment = read_moment(record.modified)
        # UTC with all six digits, so that the order of the texts is that of the times
        modified = moment.isoformat(timespec="microseconds") if moment else ""
        newest = max(newest, modified)
        former = kept.get(record.id)
        if former and former[0] > modified:
            continue
        if former:
            connection.execute("DELETE FROM record WHERE number = ?", (former[1],))
        kept[record.id] = (modified, number)
        if record.stands(now):
            _insert(connection, number, record)
    connection.execute("INSERT INTO contents VALUES (?, ?, ?)", (records, unreadable, newest or None))


def _insert(connection: sqlite3.Connection, number: int, record: AdvisoryRecord) -> None:
    """Keep what may be asked for: advisories on PyPI packages, and the severities of any."""
    names = {(entry.package, number) for entry in record.affected}
    has_severity = bool(record.vectors or record.rating or any(entry.vectors for entry in record.affected))
    if not (names or has_severity):
        return
    body = encode(without_covered_versions(record))
    connection.execute("INSERT INTO record VALUES (?, ?)", (number, body))
    connection.executemany("INSERT INTO package VALUES (?, ?)", names)
    if has_severity:
        ids = {(name, number) for name in (record.id, *record.aliases)}
        connection.executemany("INSERT INTO severity VALUES (?, ?)", ids)


def _read(document: bytes | None) -> AdvisoryRecord | None:
    if document is None:
        return None
    try:
        return parse_record(json.loads(document))
    except (NotAnAdvisory, ValueError, RecursionError):
        return None


@contextmanager
def _damage() -> Iterator[None]:
    """Whatever a damaged file makes SQLite or the decoding of its texts raise."""
    try:
        yield
    except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
        raise IndexUnusable(str(error)) from error
