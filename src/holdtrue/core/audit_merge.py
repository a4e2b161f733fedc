"""Everything that inventories hold and sources say, merged: findings, what was not audited, and counts.

How gaps are listed, so that the counts stay true and the list stays readable:

- A source that failed as a whole (it raised, its snapshot is too old, or it left all of several pins unanswered for one
  and the same reason) is one entry, named after the source. Packages that another source answered in full are audited
  all the same; those that none did are counted, without entries of their own.
- A pin that one source left unanswered is one entry for that source, however many inventories hold it: `inventory` is
  empty unless exactly one does. It counts as not audited wherever it is held.
- A dependency that no source can judge (from a repository, of unknown version, ...) and a part of an inventory that
  could not be read are entries of their inventory, and each counts as one package.
- An inventory that holds nothing is an entry, and so is an audit without inventories or sources; they count as none.

`audited` and `not_audited` count packages: each name, version and origin once for each inventory that holds it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from holdtrue.core.audit_aliases import Statement, group_by_alias, id_order, version_order
from holdtrue.core.audit_finding import CLASS_REASONS, aware, describe
from holdtrue.core.lockfiles import is_asked
from holdtrue.models.audit import Finding, InventoryCount, NotAudited, Occurrence, SourceAnswered, SourceUse
from holdtrue.models.dependency import IDENTIFIED, Dependency, Inventory, Origin, Pin
from holdtrue.models.osv import SourceAnswer

_AFTER_ALL: Final = datetime.max.replace(tzinfo=UTC)

_Key = tuple[str, str]
_Row = tuple[str, str, tuple[str, ...], bool | None, Origin]


@dataclass(frozen=True, slots=True)
class Merged:
    """An audit before any policy; `sources` have the failure of each that failed as a whole."""

    findings: tuple[Finding, ...]
    not_audited: tuple[NotAudited, ...]
    inventories: tuple[InventoryCount, ...]
    sources: tuple[SourceUse, ...]
    unique: int


@dataclass(frozen=True, slots=True)
class _Source:
    name: str
    answer: SourceAnswer
    failure: str


@dataclass(slots=True)
class _Asked:
    """What the sources say about the pins together."""

    statements: dict[_Key, list[Statement]] = field(default_factory=dict)
    answered_by: dict[_Key, tuple[str, ...]] = field(default_factory=dict)
    gaps: dict[_Key, list[str]] = field(default_factory=dict)


def pins_to_ask(inventories: Iterable[Inventory]) -> tuple[Pin, ...]:
    """Every package version that the inventories hold and that a source may be asked about, once."""
    keys = {
        (item.name, item.version): None
        for inventory in inventories
        for item in inventory.dependencies
        if item.version and is_asked(item)
    }
    return tuple(Pin(name, version) for name, version in keys)


def merge(
    inventories: Sequence[Inventory],
    answers: Sequence[tuple[str, SourceAnswer | str]],
    *,
    locations: Mapping[str, str] = MappingProxyType({}),
    oldest_snapshot: datetime | None = None,
    at: datetime = _AFTER_ALL,
) -> Merged:
    """One finding for each vulnerability of each package version, whoever names it and whoever holds it.

    `answers` has, for each source that was asked about `pins_to_ask(inventories)`, its name and what it said, or why it
    failed. `locations` are their addresses. What a source with data from before `oldest_snapshot` says stands, but it
    failed. Findings do not depend on the order of inventories, answers and matches. Advisories that are withdrawn `at`
    that time make none.
    """
    pins = pins_to_ask(inventories)
    sources = [_read_source(name, answer, pins, oldest_snapshot) for name, answer in answers]
    asked = _collect(pins, sources, aware(at))
    rows: dict[_Key, dict[_Row, None]] = {key: {} for key in asked.statements}
    holders: dict[_Key, set[str]] = {key: set() for key in asked.gaps}
    judged = frozenset(key for key in asked.answered_by if key not in asked.gaps)
    listed: dict[NotAudited, None] = {}
    counted = [_read_inventory(inventory, judged, rows, holders, listed) for inventory in inventories]
    findings = _findings(asked, rows)
    held = findings_by_inventory(findings)
    return Merged(
        findings=findings,
        not_audited=(*_failures(inventories, sources), *listed, *_unanswered(asked, holders)),
        inventories=tuple(
            InventoryCount(
                label=inventory.label,
                kind=inventory.kind,
                audited=audited,
                not_audited=not_audited,
                findings=held[inventory.label],
            )
            for inventory, (audited, not_audited) in zip(inventories, counted, strict=True)
        ),
        sources=tuple(
            SourceUse(
                name=source.name,
                location=locations.get(source.name, ""),
                answered=_how(source.answer, pins),
                snapshot_at=source.answer.snapshot_at,
                failure=source.failure,
            )
            for source in sources
        ),
        unique=len(pins),
    )


def findings_by_inventory(findings: Iterable[Finding]) -> Counter[str]:
    """How many of these findings each inventory holds, by its label."""
    return Counter(label for finding in findings for label in {item.inventory for item in finding.occurrences})


def _how(answer: SourceAnswer, pins: Sequence[Pin]) -> SourceAnswered:
    """A snapshot is opened even when there is nothing to look up in it."""
    if not answer.is_live:
        return SourceAnswered.SNAPSHOT
    return SourceAnswered.LIVE if pins else SourceAnswered.NOT_ASKED


def _read_source(
    name: str, answer: SourceAnswer | str, pins: Sequence[Pin], oldest_snapshot: datetime | None
) -> _Source:
    if isinstance(answer, str):
        return _Source(name, SourceAnswer(), answer or "it failed without a reason")
    taken_at = answer.snapshot_at
    if taken_at and oldest_snapshot and aware(taken_at) < aware(oldest_snapshot):
        return _Source(name, answer, f"its data are of {taken_at:%Y-%m-%d}, which is older than allowed")
    reasons = {answer.unanswered.get(pin, "") for pin in pins}
    if len(pins) > 1 and len(reasons) == 1 and (reason := reasons.pop()):
        return _Source(name, answer, reason)
    return _Source(name, answer, "")


def _collect(pins: Iterable[Pin], sources: Sequence[_Source], at: datetime) -> _Asked:
    asked = _Asked()
    working = [source for source in sources if not source.failure]
    for pin in pins:
        key = (pin.name, pin.version)
        statements = [
            Statement(source.name, match)
            for source in sources
            for match in source.answer.matches.get(pin, ())
            if match.advisory.stands(at)
        ]
        if statements:
            asked.statements[key] = statements
        gaps = [
            f"{source.name}: {source.answer.unanswered[pin] or 'it gave no answer'}"
            for source in working
            if pin in source.answer.unanswered
        ]
        if gaps:
            asked.gaps[key] = gaps
        if len(gaps) < len(working):
            asked.answered_by[key] = tuple(source.name for source in working if pin not in source.answer.unanswered)
    return asked


def _read_inventory(
    inventory: Inventory,
    judged: frozenset[_Key],
    rows: Mapping[_Key, dict[_Row, None]],
    holders: Mapping[_Key, set[str]],
    listed: dict[NotAudited, None],
) -> tuple[int, int]:
    """Enter what this inventory holds; how many of its packages were audited, and how many were not."""
    label = inventory.label
    packages: dict[tuple[str, str, Origin], bool] = {}
    for item in inventory.dependencies:
        key = (item.name, item.version)
        package = (item.name, item.version, item.origin)
        reason = _own_gap(item)
        packages[package] = packages.get(package, True) and not reason and key in judged
        if reason:
            gap = NotAudited(name=item.name, reason=reason, version=item.version, inventory=label, origin=item.origin)
            listed[gap] = None
        if key in rows and is_asked(item):
            rows[key][label, item.place, item.chain, item.is_direct, item.origin] = None
        if key in holders and is_asked(item):
            holders[key].add(label)
    gaps = dict.fromkeys(inventory.gaps)
    listed.update((NotAudited(name=gap.name, reason=gap.reason, inventory=label), None) for gap in gaps)
    if not packages and not gaps:
        listed[NotAudited(name=label, reason="holds no packages", inventory=label)] = None
    audited = sum(packages.values())
    return audited, len(packages) - audited + len(gaps)


def _own_gap(item: Dependency) -> str:
    """Why this dependency cannot be judged, whatever the sources say; empty when it can."""
    if item.reason:
        return item.reason
    if item.origin not in IDENTIFIED:
        return CLASS_REASONS[item.origin]
    return "" if item.version else "its version is not known"


def _failures(inventories: Sequence[Inventory], sources: Sequence[_Source]) -> Iterable[NotAudited]:
    if not inventories:
        yield NotAudited(name="inventories", reason="there is nothing to audit")
    if not sources:
        yield NotAudited(name="sources", reason="no advisory source was asked")
    for source in sources:
        if source.failure:
            yield NotAudited(name=source.name, reason=source.failure)


def _unanswered(asked: _Asked, holders: Mapping[_Key, set[str]]) -> Iterable[NotAudited]:
    for (name, version), reasons in asked.gaps.items():
        labels = holders[name, version]
        for reason in reasons:
            yield NotAudited(
                name=name, version=version, reason=reason, inventory=next(iter(labels)) if len(labels) == 1 else ""
            )


def _findings(asked: _Asked, rows: Mapping[_Key, Iterable[_Row]]) -> tuple[Finding, ...]:
    findings: list[Finding] = []
    for key, statements in asked.statements.items():
        occurrences = tuple(
            Occurrence(inventory=label, place=place, chain=chain, is_direct=is_direct, origin=origin)
            for label, place, chain, is_direct, origin in sorted(
                rows[key], key=lambda row: (row[0], row[1], row[2], str(row[3]), row[4])
            )
        )
        answered_by = asked.answered_by.get(key, ())
        findings += [describe(Pin(*key), group, answered_by, occurrences) for group in group_by_alias(statements)]
    return tuple(sorted(findings, key=lambda item: (item.package, version_order(item.version), id_order(item.id))))
