"""Read an OSV record as it comes: whatever can be understood is kept, and what cannot never hides a vulnerability.

Schema: https://ossf.github.io/osv-schema/ (1.x; majors after it are read the same way). Where a part that decides
which versions are affected has the wrong shape, an event without a readable version stands in its place, so that
matching it ends in "possible" and not in silence.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from packaging.utils import canonicalize_name

from holdtrue.models.osv import AdvisoryRecord, Affected, Event, EventKind

_ECOSYSTEM: Final = "pypi"
_OTHER_ORDERS: Final = frozenset({"GIT", "SEMVER"})
"""Range types that order commits, or versions in another way than PyPI does."""
_SUMMARY_LENGTH: Final = 300
_LARGEST_NUMBER: Final = 10**18
_LEAP_SECOND: Final = re.compile(r":60(?=[.Zz+-]|$)")
_LINK: Final = re.compile(r"https?://[^\s/?#@\\<>\"\x00-\x1f\x7f]+(?:[/?#][^\s<>\"\x00-\x1f\x7f]*)?", re.IGNORECASE)
"""An http(s) address without user name, blanks, quotes and control characters."""
_RATINGS: Final = {"CRITICAL": 4, "HIGH": 3, "MODERATE": 2, "MEDIUM": 2, "LOW": 1}


class NotAnAdvisory(ValueError):
    """It is no object, or has no id."""


def parse_record(raw: object) -> AdvisoryRecord:
    """The advisory in a decoded JSON document. Fields of a wrong type are read as missing.

    `related` and `upstream` are no aliases: they may name other flaws. A `withdrawn` that is no time does not
    withdraw, and neither does year 1, which is how Go writes a time that is not set. An `affected` entry without a
    readable ecosystem and name speaks of no package.

    Raises:
        NotAnAdvisory: it is no object, or has no id.
    """
    if not isinstance(raw, dict):
        raise NotAnAdvisory("it is no JSON object")
    own_id = _text(raw.get("id")).strip()
    if not own_id:
        raise NotAnAdvisory("it has no id")
    withdrawn = read_moment(raw.get("withdrawn"))
    entries = [entry for entry in _items(raw.get("affected")) if isinstance(entry, dict)]
    ours = [(name, entry) for entry in entries if (name := _package(entry.get("package")))]
    names = (_text(item).strip() for item in _items(raw.get("aliases")))
    return AdvisoryRecord(
        id=own_id,
        aliases=tuple(dict.fromkeys(name for name in names if name and name != own_id)),
        modified=_text(raw.get("modified")),
        published=read_moment(raw.get("published")),
        withdrawn=withdrawn if withdrawn is not None and withdrawn.year > 1 else None,
        summary=_summary(raw),
        vectors=_vectors(raw.get("severity")),
        rating=_rating(raw, [entry for _, entry in ours]),
        affected=tuple(_affected(name, entry) for name, entry in ours),
        link=_link(raw.get("references")) or f"https://osv.dev/vulnerability/{quote(own_id, safe='')}",
    )


def read_moment(value: object) -> datetime | None:
    """A time as RFC 3339 writes it, in UTC; None for anything else. Without an offset it counts as UTC.

    Digits after the microseconds are cut; a leap second counts as the second before it.
    """
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(_LEAP_SECOND.sub(":59", value.strip()).upper())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # OverflowError: year 1 or 9999, moved out of the calendar by its offset
        return None


def worst_rating(ratings: Iterable[str]) -> str:
    """The gravest word of those the databases use; one that none uses counts least; empty when there is none."""
    return max(ratings, key=lambda rating: _RATINGS.get(rating.upper(), 0), default="")


def _affected(name: str, entry: dict[object, object]) -> Affected:
    versions: list[str] = []
    ranges = list(_ranges(entry.get("ranges")))
    for version in _items(entry.get("versions")):
        text = _version(version)
        if text is None:
            ranges.append((_unreadable(version),))
        else:
            versions.append(text)
    return Affected(name, tuple(ranges), tuple(versions), _vectors(entry.get("severity")))


def _ranges(value: object) -> Iterator[tuple[Event, ...]]:
    for item in _items(value):
        if not isinstance(item, dict):
            yield (_unreadable(item),)
        elif _text(item.get("type")) not in _OTHER_ORDERS:
            yield tuple(event for raw in _items(item.get("events")) for event in _events(raw))


def _events(raw: object) -> Iterator[Event]:
    """One event, or several where an older record writes `introduced` and `fixed` into one object."""
    known = [kind for kind in EventKind if kind in raw] if isinstance(raw, dict) else []
    if not isinstance(raw, dict) or not known:
        yield _unreadable(raw)
        return
    for kind in known:
        text = _version(raw[kind])
        yield _unreadable(raw[kind], kind) if text is None else Event(kind, text)


def _unreadable(value: object, kind: EventKind = EventKind.INTRODUCED) -> Event:
    """An event that no version can be compared with; what it says about the value is no version of PEP 440."""
    return Event(kind, f"({type(value).__name__} instead of a version)")


def _version(value: object) -> str | None:
    """Text, or a whole number; a fraction is unreadable, for 1.10 has become 1.1 in it."""
    if isinstance(value, str):
        return _text(value)
    is_number = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST_NUMBER
    return str(value) if is_number else None


def _package(value: object) -> str:
    """The normalised name (PEP 503) of a PyPI package; empty for any other, and for what is none."""
    if not isinstance(value, dict):
        return ""
    ecosystem = _text(value.get("ecosystem")).partition(":")[0].strip()
    return canonicalize_name(_text(value.get("name")).strip()) if ecosystem.lower() == _ECOSYSTEM else ""


def _vectors(value: object) -> tuple[str, ...]:
    """The CVSS scores; other types (`Ubuntu`) hold words in a scale of their own."""
    found = (
        _text(item.get("score")).strip()
        for item in _items(value)
        if isinstance(item, dict) and _text(item.get("type")).startswith("CVSS")
    )
    return tuple(dict.fromkeys(score for score in found if score))


def _rating(raw: dict[object, object], entries: list[dict[object, object]]) -> str:
    return _severity_word(raw.get("database_specific")) or worst_rating(
        word
        for entry in entries
        for key in ("ecosystem_specific", "database_specific")
        if (word := _severity_word(entry.get(key)))
    )


def _severity_word(value: object) -> str:
    return _text(value.get("severity")).strip() if isinstance(value, dict) else ""


def _summary(raw: dict[object, object]) -> str:
    text = _text(raw.get("summary")) or _text(raw.get("details"))
    return " ".join(text.split())[:_SUMMARY_LENGTH]


def _link(value: object) -> str:
    found = (
        _text(item.get("url"))
        for item in _items(value)
        if isinstance(item, dict) and _text(item.get("type")) in {"ADVISORY", "WEB"}
    )
    return next((url for url in found if _LINK.fullmatch(url)), "")


def _items(value: object) -> list[object]:
    """A list's items; none of what is missing; anything else as the one item it may have been meant to be."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _text(value: object) -> str:
    """Text that every encoder takes: JSON can hold half a surrogate pair, which UTF-8 cannot."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()
