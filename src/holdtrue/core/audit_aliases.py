"""Which advisories are one vulnerability, what it is called, and the order of ids and versions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from packaging.version import InvalidVersion, Version

from holdtrue.models.osv import Match

UNNAMED: Final = "unnamed"
"""What an advisory with neither an id nor an alias is called; all of a pin's are one vulnerability."""

_PREFERRED_IDS: Final = ("PYSEC-", "CVE-", "GHSA-")
_NO_VERSION: Final = Version("0")

VersionOrder = tuple[int, Version, str]


@dataclass(frozen=True, slots=True)
class Statement:
    """What one source says about one pin."""

    source: str
    match: Match


def group_by_alias(statements: Sequence[Statement]) -> list[list[Statement]]:
    """Those whose advisories share a name, directly or through others, together; each statement stands in one group.

    Ids compare without regard to case. Cycles of aliases are harmless.
    """
    parents = list(range(len(statements)))

    def find(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    first_with: dict[str, int] = {}
    for index, statement in enumerate(statements):
        for name in _names(statement):
            parents[find(index)] = find(first_with.setdefault(name.casefold(), index))
    groups: dict[int, list[Statement]] = {}
    for index, statement in enumerate(statements):
        groups.setdefault(find(index), []).append(statement)
    return list(groups.values())


def names_of(group: Iterable[Statement]) -> tuple[str, ...]:
    """Every name of a group once: PYSEC ids first, then CVE, then GHSA, then the others; never empty."""
    names: dict[str, str] = {}
    for name in (name for statement in group for name in _names(statement)):
        spelt = names.setdefault(name.casefold(), name)
        names[name.casefold()] = min(spelt, name)
    return tuple(sorted(names.values(), key=id_order))


def id_order(name: str) -> tuple[int, str]:
    """Sort key for the ids of advisories."""
    upper = name.upper()
    ranks = (rank for rank, prefix in enumerate(_PREFERRED_IDS) if upper.startswith(prefix))
    return next(ranks, len(_PREFERRED_IDS)), name


@lru_cache(maxsize=1 << 16)
def version_order(version: str) -> VersionOrder:
    """Sort key: PEP 440 order; what is not a version there (real advisories hold such) comes last, as text."""
    try:
        return 0, Version(version), ""
    except InvalidVersion:
        return 1, _NO_VERSION, version


def unite_versions(versions: Iterable[str]) -> tuple[str, ...]:
    """Each once, in that order; of several spellings of one version (`2.0`, `2.0.0`) the shortest."""
    spelt: dict[VersionOrder, str] = {}
    for version in versions:
        order = version_order(version)
        spelt[order] = min(spelt.get(order, version), version, key=lambda text: (len(text), text))
    return tuple(spelt[order] for order in sorted(spelt))


def _names(statement: Statement) -> list[str]:
    advisory = statement.match.advisory
    return [name for name in (advisory.id, *advisory.aliases) if name] or [UNNAMED]
