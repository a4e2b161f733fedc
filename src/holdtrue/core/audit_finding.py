"""One finding from all that is said about one vulnerability of one package version."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from holdtrue.core.audit_aliases import (
    UNNAMED,
    Statement,
    id_order,
    is_malware,
    names_of,
    unite_versions,
    version_order,
)
from holdtrue.core.severity import Rating, gravest, rate
from holdtrue.models.audit import Finding, Occurrence, Severity
from holdtrue.models.dependency import IDENTIFIED, Origin, Pin
from holdtrue.models.osv import AdvisoryRecord, Affected, Certainty, EventKind

CLASS_REASONS: Final = MappingProxyType(
    {
        Origin.INTERNAL: "from an internal index: public sources do not speak of it",
        Origin.VCS: "installed from a repository: its version number does not identify its code",
        Origin.URL: "installed from an address: its version number does not identify its code",
        Origin.LOCAL: "local project: no source knows its code, and none is asked",
        Origin.EDITABLE: "editable project: no source knows its code, and none is asked",
        Origin.DISTRO: "patched by its distribution, which does not change the version number",
        Origin.CONDA: "a conda package: it need not be the PyPI project of that name",
    }
)
"""Why each origin that is not in IDENTIFIED makes a finding doubtful, and a package not audited."""

_FIXES_SHOWN: Final = 5
_ENDS: Final = frozenset({EventKind.LAST_AFFECTED, EventKind.LIMIT})


def describe(
    pin: Pin, group: list[Statement], answered_by: Iterable[str], occurrences: tuple[Occurrence, ...]
) -> Finding:
    """The finding that advisories of one alias group are on a pin.

    `answered_by` are the sources that answered about the pin in full; the one that is silent contradicts the others.
    It is only possible when every source says so, or when nowhere the version of the package identifies its code.
    Malware (MAL-...) without a severity is critical: nobody rates it, for it is meant to harm.
    """
    # The record of the preferred id speaks first, and equal records in an order that does not depend on the sources'.
    group.sort(
        key=lambda item: (
            id_order(item.match.advisory.id or UNNAMED),
            item.source,
            item.match.advisory.summary,
            item.match.advisory.link,
        )
    )
    names = names_of(group)
    advisories = [item.match.advisory for item in group]
    rating = _rate(pin.name, advisories)
    severity = rating.severity
    if severity is Severity.UNKNOWN and is_malware(names):
        severity = Severity.CRITICAL
    doubts = _doubts(group, occurrences)
    fixed_in = unite_versions(version for item in group for version in item.match.fixed_in)
    return Finding(
        package=pin.name,
        version=pin.version,
        id=names[0],
        aliases=names[1:],
        severity=severity,
        score=rating.score,
        vector=rating.vector,
        certainty=Certainty.POSSIBLE if doubts else Certainty.AFFECTED,
        doubt="; ".join(doubts),
        fixed_in=fixed_in,
        may_be_mended=not fixed_in and any(map(_ends_without_fix, _entries(pin.name, advisories))),
        summary=next((item.summary for item in advisories if item.summary), ""),
        link=next((item.link for item in advisories if item.link), ""),
        published=min((aware(item.published) for item in advisories if item.published), default=None),
        sources=tuple(sorted({item.source for item in group})),
        disagreement=_disagreement(pin.name, group, answered_by),
        occurrences=occurrences,
    )


def _entries(package: str, advisories: Iterable[AdvisoryRecord]) -> Iterator[Affected]:
    return (entry for item in advisories for entry in item.affected if entry.package == package)


def _ends_without_fix(entry: Affected) -> bool:
    """Whether later versions may be free of it though none is named: it lists versions only, or ends by another event.

    Which of its ranges holds the pin does not matter here: that nothing mends it has to be beyond doubt.
    """
    if entry.versions and not entry.ranges:
        return True
    return any(event.kind in _ENDS for events in entry.ranges for event in events)


def _rate(package: str, advisories: Iterable[AdvisoryRecord]) -> Rating:
    return gravest(
        rate(
            (*item.vectors, *(vector for entry in _entries(package, (item,)) for vector in entry.vectors)),
            (item.rating,),
        )
        for item in advisories
    )


def _doubts(group: Sequence[Statement], occurrences: Sequence[Occurrence]) -> list[str]:
    doubts: set[str] = set()
    if all(item.match.certainty is Certainty.POSSIBLE for item in group):
        doubts.update(item.match.doubt or "its source is not sure" for item in group)
    if not any(item.origin in IDENTIFIED for item in occurrences):
        doubts.update(CLASS_REASONS[item.origin] for item in occurrences)
    return sorted(doubts)


def _disagreement(package: str, group: Sequence[Statement], answered_by: Iterable[str]) -> str:
    """Who is silent though he answered, and whether those who report it tell of other fixes or severities.

    A source without any severity does not contradict one that has it.
    """
    said: dict[str, list[Statement]] = {}
    for item in sorted(group, key=lambda item: item.source):
        said.setdefault(item.source, []).append(item)
    texts = [f"{name} does not report it" for name in sorted(set(answered_by) - said.keys())]
    if len(said) == 1:
        return "; ".join(texts)
    fixes = {
        name: unite_versions(version for item in items for version in item.match.fixed_in)
        for name, items in said.items()
    }
    if len({tuple(map(version_order, versions)) for versions in fixes.values()}) > 1:
        told = (f"{name} {' '.join(versions[:_FIXES_SHOWN]) or 'none'}" for name, versions in fixes.items())
        texts.append(f"fix versions differ: {', '.join(told)}")
    ratings = {name: _rate(package, [item.match.advisory for item in items]).severity for name, items in said.items()}
    known = {name: severity for name, severity in ratings.items() if severity is not Severity.UNKNOWN}
    if len(set(known.values())) > 1:
        texts.append(f"severity differs: {', '.join(f'{name} {severity}' for name, severity in known.items())}")
    return "; ".join(texts)


def aware(moment: datetime) -> datetime:
    """A time that can be compared: sources may tell one without its zone, which then is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
