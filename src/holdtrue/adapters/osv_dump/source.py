"""The advisory source that reads a dump; asks no network."""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from holdtrue.adapters.osv_dump.dump_file import open_dump, read_documents, rejected
from holdtrue.adapters.osv_dump.index import (
    SCHEMA_VERSION,
    Contents,
    Index,
    IndexUnusable,
    build_index,
    open_index,
    remove_others,
)
from holdtrue.core.clock_skew import is_from_the_future
from holdtrue.core.osv_record import worst_rating
from holdtrue.core.version_match import match
from holdtrue.errors import ServiceNotReady
from holdtrue.models.dependency import Pin
from holdtrue.models.osv import AdvisoryRecord, Match, SourceAnswer


class OsvDump:
    """Answers from a dump on disk.

    The dump is indexed at the first question, and again when it has changed: another size, time of its
    content (mtime) or time of its entry (ctime, for mirrors that set the other to a fixed value). A hash of the content
    would tell as much, but reading a hundred megabytes costs more than the whole answer.

    Its age is that of its newest record, not of the file: copying and unpacking make old data look new.
    """

    name: Final = "osv-db"

    def __init__(
        self, path: Path, *, cache_folder: Path, maximum_age_days: float | None, now: Callable[[], datetime]
    ) -> None:
        """Name the dump; it is opened by `ask`.

        Args:
            path: `.jsonl` (or gzip of it) with one OSV record a line, or a `.zip` of one `.json` file a record.
            cache_folder: Holds the index between runs. Where it cannot be written, each question reads the whole dump.
            maximum_age_days: Data older than that leave every package unanswered; None for any age.
            now: The time, with its zone.
        """
        self._path = path
        self._cache_folder = cache_folder
        self._maximum_age_days = maximum_age_days
        self._now = now

    @property
    def location(self) -> str:
        """Path of the dump."""
        return str(self._path)

    def ask(self, pins: Sequence[Pin]) -> SourceAnswer:
        """What the dump knows of these.

        Nothing counts as answered by a dump that is too old, or of which a part cannot be read: whatever it misses
        may be about any package.

        Raises:
            RejectedError: it is no dump, holds no record, or is not whole.
            ServiceNotReady: it was written to while it was read.
        """
        index_path = self._index_path()
        with suppress(IndexUnusable), closing(open_index(index_path)) as index:
            return self._answer(index, pins)
        with closing(self._build(index_path)) as index:
            return self._answer(index, pins)

    def _index_path(self) -> Path:
        with open_dump(self._path) as file:
            status = os.fstat(file.fileno())
        stamp = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {SCHEMA_VERSION}"
        return self._cache_folder / f"{self._index_prefix()}{_digest(stamp)}.sqlite"

    def _index_prefix(self) -> str:
        return f"osv-dump-{_digest(str(self._path.absolute()))}-"

    def _build(self, index_path: Path) -> Index:
        with open_dump(self._path) as file:
            before = os.fstat(file.fileno())
            index = build_index(read_documents(self._path, file), self._now())
            after = os.fstat(file.fileno())
        with ExitStack() as on_failure:
            on_failure.callback(index.close)
            self._check(index.contents(), before, after)
            # Without the file the answer is the same, only slower the next time.
            with suppress(OSError, sqlite3.Error):
                index.save(index_path)
                remove_others(index_path, self._index_prefix())
            on_failure.pop_all()
        return index

    def _check(self, contents: Contents, before: os.stat_result, after: os.stat_result) -> None:
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise ServiceNotReady(
                "the advisory dump was written to while it was read",
                where=self.location,
                next_step="download it under another name, and rename it when it is whole",
            )
        if not contents.records:
            raise rejected("it holds no advisory on a PyPI package", self._path)

    def _answer(self, index: Index, pins: Sequence[Pin]) -> SourceAnswer:
        contents = index.contents()
        names = {pin: canonicalize_name(pin.name) for pin in pins}
        records = index.about(tuple({_encodable(name) for name in names.values()}))
        matches: dict[Pin, tuple[Match, ...]] = {}
        for pin, name in names.items():
            found = tuple(item for record in records.get(name, ()) if (item := match(pin, record)))
            if found:
                matches[pin] = found
        reason = "; ".join(self._reasons(contents))
        return SourceAnswer(
            matches=_with_severities(index, matches),
            unanswered=dict.fromkeys(pins, reason) if reason else {},
            snapshot_at=contents.newest,
            is_live=False,
        )

    def _reasons(self, contents: Contents) -> Iterable[str]:
        """Why no package counts as answered."""
        if contents.unreadable:
            yield f"{contents.unreadable} records of the dump cannot be read"
        if self._maximum_age_days is None:
            return
        if contents.newest is None:
            yield "no record of the dump says when it was modified, so that its age is unknown"
            return
        now = self._now()
        days = (now - contents.newest) / timedelta(days=1)
        if is_from_the_future(contents.newest, now):
            yield f"the dump's newest record is from the future ({contents.newest.date()}), so that its age is unknown"
        elif days > self._maximum_age_days:
            yield f"the dump is {days:.1f} days old, and the limit is {self._maximum_age_days:g} days"


def _with_severities(index: Index, matches: Mapping[Pin, tuple[Match, ...]]) -> dict[Pin, tuple[Match, ...]]:
    """The same with the severity of an alias for each advisory that has none of its own."""
    unrated = {
        item.advisory.id: item.advisory
        for found in matches.values()
        for item in found
        if not _has_severity(item.advisory)
    }
    others = index.rated(tuple({_encodable(name) for record in unrated.values() for name in _names(record)}))
    rated = {key: _rate(record, others) for key, record in unrated.items()} if others else {}
    return {
        pin: tuple(
            replace(item, advisory=rated[item.advisory.id]) if item.advisory.id in rated else item for item in found
        )
        for pin, found in matches.items()
    }


def _names(record: AdvisoryRecord) -> tuple[str, ...]:
    return (record.id, *record.aliases)


def _has_severity(record: AdvisoryRecord) -> bool:
    return bool(record.vectors or record.rating or any(entry.vectors for entry in record.affected))


def _rate(record: AdvisoryRecord, rated: Mapping[str, Sequence[AdvisoryRecord]]) -> AdvisoryRecord:
    others = [other for name in _names(record) for other in rated.get(name, ())]
    vectors = (vector for other in others for vector in other.vectors)
    of_packages = (vector for other in others for entry in other.affected for vector in entry.vectors)
    return replace(
        record,
        vectors=tuple(dict.fromkeys((*vectors, *of_packages))),
        rating=worst_rating(other.rating for other in others),
    )


def _encodable(name: str) -> str:
    """SQLite takes no half surrogate pair, and no record holds one."""
    return name.encode("utf-8", "replace").decode()


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]
