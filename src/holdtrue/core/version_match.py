"""Does an advisory speak of a version? Sure, possibly, or not; never an error, whatever the record holds.

The rule is the evaluation algorithm of https://ossf.github.io/osv-schema/#evaluation in the order of PEP 440: a
version is affected when a range or a list of any entry about its package holds it. Beyond the text of the schema:

- Of events at one version a fix comes first, so that a record which ends one range where the next begins keeps both
  (real ones do, and out of order).
- An event that is no version leaves open what it can change, and no more: the finding is possible.
- A range without `introduced`, and an entry that names no comparable version (GIT ranges do not replace the version
  list, says the schema), do not say that a version is safe: possible. Nor does a list without ranges in which a version
  cannot be read: it may mean any.
- A local version (`1.0+cpu`) is a build of its public one: a list or `last_affected` that names `1.0` means it too.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Final, TypeVar

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from holdtrue.models.dependency import Pin
from holdtrue.models.osv import AdvisoryRecord, Affected, Certainty, Event, EventKind, Match

_LONGEST_VERSION: Final = 200
_TOO_MANY_DIGITS: Final = re.compile(r"[0-9]{101}")
"""Numbers of more digits are no version numbers, and cost quadratic time to read."""
_LONGEST_QUOTE: Final = 60

_ZERO: Final = "0"
"""Of `introduced`: before every version."""
_INTRODUCED: Final = EventKind.INTRODUCED
_FIXED: Final = EventKind.FIXED
_LAST_AFFECTED: Final = EventKind.LAST_AFFECTED
_LIMIT: Final = EventKind.LIMIT

_normal_name = lru_cache(maxsize=1 << 14)(canonicalize_name)

_Outcome = tuple[Certainty | None, str]
"""How sure it is (None: not affected), and the doubt when it is only possible."""

T = TypeVar("T")

_Place = tuple[int, Version]
"""Of an event in the order of versions; the number puts "0" before every version."""

_SAFE: Final[_Outcome] = (None, "")
_AFFECTED: Final[_Outcome] = (Certainty.AFFECTED, "")


def match(pin: Pin, record: AdvisoryRecord) -> Match | None:
    """What the advisory says about the pin; None when it does not affect it. Never raises.

    Whether the advisory still stands is a question of the time, which `holdtrue.core.audit_merge` answers.
    """
    name = _normal_name(pin.name)
    entries = [entry for entry in record.affected if entry.package == name]
    if not entries:
        return None
    version = read_version(pin.version)
    certainty, doubt = _judge(pin.version, version, entries)
    return Match(record, certainty, doubt, _fixes_above(version, entries)) if certainty else None


def read_version(text: str) -> Version | None:
    """The version, or None for what PEP 440 does not know. Each distinct text is read once."""
    return None if len(text) > _LONGEST_VERSION else _read_version(text)


def without_covered_versions(record: AdvisoryRecord) -> AdvisoryRecord:
    """The same advisory without the listed versions that its ranges hold anyway; `match` answers alike for both.

    OSV lists every version of every range, so the lists are most of a dump.
    """
    return replace(record, affected=tuple(_without_covered(entry) for entry in record.affected))


@lru_cache(maxsize=1 << 17)
def _read_version(text: str) -> Version | None:
    if _TOO_MANY_DIGITS.search(text):
        return None
    try:
        return Version(text)
    except InvalidVersion:
        return None


@lru_cache(maxsize=1 << 12)
def _public(version: Version) -> Version:
    return Version(version.public)


def _judge(text: str, version: Version | None, entries: Sequence[Affected]) -> _Outcome:
    """The first sure answer of any entry, else the first possible one."""
    gravest = _SAFE
    for entry in entries:
        outcome = _judge_entry(text, version, entry)
        if outcome[0] is Certainty.AFFECTED:
            return outcome
        if gravest[0] is None:
            gravest = outcome
    return gravest


def _judge_entry(text: str, version: Version | None, entry: Affected) -> _Outcome:
    if not entry.ranges and not entry.versions:
        return Certainty.POSSIBLE, "the advisory names no affected versions that can be compared"
    if version is None:
        if text in entry.versions:
            return _AFFECTED
        doubt = f"the version {_quote(text)} cannot be compared (PEP 440)"
        return (Certainty.POSSIBLE, doubt) if entry.ranges else _judge_unreadable_list(entry.versions)
    by_range = _judge_ranges(version, entry.ranges)
    if by_range[0] is not Certainty.AFFECTED and _is_listed(text, version, entry.versions):
        return _AFFECTED
    return by_range if entry.ranges else _judge_unreadable_list(entry.versions)


def _judge_unreadable_list(listed: Sequence[str]) -> _Outcome:
    """For a version that is not in a list which has nothing beside it."""
    unreadable = next((text for text in listed if read_version(text) is None), None)
    if unreadable is None:
        return _SAFE
    return Certainty.POSSIBLE, f"the advisory's version {_quote(unreadable)} cannot be compared (PEP 440)"


def _is_listed(text: str, version: Version, listed: Sequence[str]) -> bool:
    if text in listed:
        return True
    wanted = {version, _public(version)} if version.local else {version}
    return any(read_version(item) in wanted for item in listed)


def _judge_ranges(version: Version, ranges: Sequence[Sequence[Event]]) -> _Outcome:
    gravest = _SAFE
    for events in ranges:
        outcome = _judge_range(version, events)
        if outcome[0] is Certainty.AFFECTED:
            return outcome
        if gravest[0] is None:
            gravest = outcome
    return gravest


def _judge_range(version: Version, events: Sequence[Event]) -> _Outcome:
    """One range: the last event that the version has passed decides. Hot, hence without calls where they can be had."""
    decisive: EventKind | None = None
    reached: Version | None = None  # None stands for "0", which comes before every version
    has_introduced = False
    for event in events:
        kind = event.kind
        if kind is _INTRODUCED:
            has_introduced = True
            if event.version == _ZERO:
                decisive = decisive or kind
                continue
        elif kind is _LIMIT:
            return _judge_unclear_range(version, events)
        at = read_version(event.version)
        if at is None:
            return _judge_unclear_range(version, events)
        if version < at or (kind is _LAST_AFFECTED and not _has_passed(version, kind, at)):
            continue
        if reached is None or reached < at or (kind is not _FIXED and reached == at):
            decisive, reached = kind, at
    if not has_introduced:
        return _judge_unclear_range(version, events)
    return _AFFECTED if decisive is _INTRODUCED else _SAFE


def _judge_unclear_range(version: Version, events: Sequence[Event]) -> _Outcome:
    """The same for a range that has a limit or does not say all it should, by every state that it may be in."""
    timeline = [event for event in events if event.kind is not _LIMIT]
    has_introduced = any(event.kind is _INTRODUCED for event in timeline)
    states = {False} if has_introduced else {False, True}
    for event, has_passed in _walk(version, timeline):
        becomes = event.kind is _INTRODUCED
        if has_passed is None:
            states.add(becomes)
        elif has_passed:
            states = {becomes}
    is_before_limits = _is_before_limits(version, events)
    if True not in states or is_before_limits is False:
        return _SAFE
    if states == {True} and is_before_limits:
        return _AFFECTED
    unreadable = [event.version for event in events if _is_unreadable(event)]
    if unreadable:
        return Certainty.POSSIBLE, f"the advisory's version {_quote(unreadable[0])} cannot be compared (PEP 440)"
    return Certainty.POSSIBLE, "the advisory does not say in which version the flaw came in"


def _walk(version: Version, timeline: Sequence[Event]) -> list[tuple[Event, bool | None]]:
    """The events in order, each with whether the version has passed it; None when that cannot be told.

    A record whose readable events ascend is taken to be in order, so that an unreadable one lies between its
    neighbours. In any other it may lie anywhere, and comes last: whatever it can change then stays open.
    """
    places = [_place(event) for event in timeline]
    known = [place for place in places if place is not None]
    if any(later <= earlier for earlier, later in pairwise(known)):
        order = sorted(
            (index for index, place in enumerate(places) if place is not None),
            key=lambda index: (places[index] or (), timeline[index].kind is not _FIXED),
        )
        read = [(timeline[index], _passed_readable(version, timeline[index])) for index in order]
        return [*read, *((event, None) for event, place in zip(timeline, places, strict=True) if place is None)]
    here = (1, version)
    readable = [None if place is None else event for event, place in zip(timeline, places, strict=True)]
    below = _nearest_readable(places)
    above = _nearest_readable(readable[::-1])[::-1]
    walked: list[tuple[Event, bool | None]] = []
    for event, place, before, after in zip(timeline, places, below, above, strict=True):
        if place is not None:
            walked.append((event, _passed_readable(version, event)))
            continue
        # Not `here >= after`: a version that is the last affected one has not passed that event.
        is_past = after is not None and _passed_readable(version, after)
        is_ahead = before is not None and here < before
        walked.append((event, True if is_past else False if is_ahead else None))
    return walked


def _nearest_readable(items: Sequence[T | None]) -> list[T | None]:
    """For each the last one so far that can be told."""
    found: list[T | None] = []
    nearest = None
    for item in items:
        nearest = nearest if item is None else item
        found.append(nearest)
    return found


def _place(event: Event) -> _Place | None:
    """Where it stands in the order of versions; None when that cannot be told."""
    if _is_zero(event):
        return 0, Version("0")
    at = read_version(event.version)
    return None if at is None else (1, at)


def _passed_readable(version: Version, event: Event) -> bool:
    at = read_version(event.version)
    return _is_zero(event) or (at is not None and _has_passed(version, event.kind, at))


def _has_passed(version: Version, kind: EventKind, at: Version) -> bool:
    if kind is _LAST_AFFECTED:
        return version > at and (not version.local or _public(version) > at)
    return version >= at


def _is_before_limits(version: Version, events: Sequence[Event]) -> bool | None:
    limits = [event.version.strip() for event in events if event.kind is _LIMIT]
    if not limits or "*" in limits:
        return True
    read = [read_version(limit) for limit in limits]
    if any(limit is not None and version < limit for limit in read):
        return True
    return None if None in read else False


def _is_zero(event: Event) -> bool:
    return event.kind is _INTRODUCED and event.version == _ZERO


def _is_unreadable(event: Event) -> bool:
    is_endless = event.kind is _LIMIT and event.version.strip() == "*"
    return not is_endless and read_version(event.version) is None


def _fixes_above(version: Version | None, entries: Sequence[Affected]) -> tuple[str, ...]:
    """Every fix that is higher, or that cannot be compared, each once; those that are no versions come last."""
    readable: dict[Version, str] = {}
    unreadable: dict[str, None] = {}
    for entry in entries:
        for events in entry.ranges:
            for event in events:
                if event.kind is not _FIXED:
                    continue
                at = read_version(event.version)
                if at is None:
                    unreadable[event.version] = None
                elif version is None or at > version:
                    readable.setdefault(at, event.version)
    return (*(readable[at] for at in sorted(readable)), *unreadable)


def _without_covered(entry: Affected) -> Affected:
    # A local version of an event lies between a public version and its builds, which the list means as well.
    if any("+" in event.version for events in entry.ranges for event in events):
        return entry
    kept = tuple(text for text in entry.versions if not _is_covered(text, entry.ranges))
    return replace(entry, versions=kept)


def _is_covered(text: str, ranges: Sequence[Sequence[Event]]) -> bool:
    version = read_version(text)
    return version is not None and _judge_ranges(version, ranges) == _AFFECTED


def _quote(text: str) -> str:
    return ascii(text[:_LONGEST_QUOTE])
