"""How the index keeps an advisory: compact JSON of lists, without names of fields."""

import json
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

from holdtrue.models.osv import AdvisoryRecord, Affected, Event, EventKind

_KINDS = {kind.value: kind for kind in EventKind}


def encode(record: AdvisoryRecord) -> str:
    """The record as text; ASCII only."""
    affected = [
        [
            entry.package,
            [[part for event in events for part in (event.kind.value, event.version)] for events in entry.ranges],
            entry.versions,
            entry.vectors,
        ]
        for entry in record.affected
    ]
    published = record.published.isoformat() if record.published else None
    withdrawn = record.withdrawn.isoformat() if record.withdrawn else None
    fields = [record.id, record.aliases, record.modified, published, record.summary, record.vectors, record.rating]
    return json.dumps([*fields, affected, record.link, withdrawn], separators=(",", ":"))


def decode(texts: Iterable[str]) -> list[AdvisoryRecord]:
    """The records that `encode` was given.

    All at once, because each call of the JSON decoder costs more than a record's text does.

    Raises:
        ValueError, TypeError, KeyError: a text is not what `encode` wrote.
    """
    return [_record(*fields) for fields in json.loads(f"[{','.join(texts)}]")]


def _record(
    own_id: str,
    aliases: list[str],
    modified: str,
    published: str | None,
    summary: str,
    vectors: list[str],
    rating: str,
    affected: list[tuple[str, list[list[str]], list[str], list[str]]],
    link: str,
    withdrawn: str | None,
) -> AdvisoryRecord:
    return AdvisoryRecord(
        id=own_id,
        aliases=tuple(aliases),
        modified=modified,
        published=datetime.fromisoformat(published) if published else None,
        withdrawn=datetime.fromisoformat(withdrawn) if withdrawn else None,
        summary=summary,
        vectors=tuple(vectors),
        rating=rating,
        affected=tuple(
            Affected(package, tuple(map(_events, ranges)), tuple(versions), tuple(entry_vectors))
            for package, ranges, versions, entry_vectors in affected
        ),
        link=link,
    )


def _events(parts: list[str]) -> tuple[Event, ...]:
    return tuple(map(_event, parts[::2], parts[1::2]))


@lru_cache(maxsize=1 << 16)
def _event(kind: str, version: str) -> Event:
    """One event; the same few versions of a package stand in many of its advisories."""
    return Event(_KINDS[kind], version)
