"""Which advisories are one vulnerability, what it is called, and the order of ids and versions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from packaging.version import Version

from holdtrue.core.version_match import read_version
from holdtrue.models.osv import Match

UNNAMED: Final = "unnamed"
"""What an advisory with neither an id nor an alias is called; all of a pin's are one vulnerability."""

_PREFERRED_IDS: Final = ("PYSEC-", "CVE-", "GHSA-")
_MALWARE: Final = "MAL-"
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


def separate_ids(names: Iterable[str]) -> frozenset[str]:
    """The ids, in lower case, of the several flaws that these names stand for; empty when they stand for one.

    One advisory that names two CVEs ties both into one group. The CVEs tell the flaws apart; without any, the PYSEC or
    the GHSA ids do, whichever are more.
    """
    folded = {name.casefold() for name in names}
    pysec, cve, ghsa = (
        frozenset(name for name in folded if name.startswith(prefix.casefold())) for prefix in _PREFERRED_IDS
    )
    flaws = cve or max(pysec, ghsa, key=len)
    return flaws if len(flaws) > 1 else frozenset()


def is_malware(names: Iterable[str]) -> bool:
    """Whether one of the names is that of a malicious package (MAL-...)."""
    return any(name.upper().startswith(_MALWARE) for name in names)


def id_order(name: str) -> tuple[int, str]:
    """Sort key for the ids of advisories."""
    upper = name.upper()
    ranks = (rank for rank, prefix in enumerate(_PREFERRED_IDS) if upper.startswith(prefix))
    return next(ranks, len(_PREFERRED_IDS)), name


@lru_cache(maxsize=1 << 16)
def version_order(version: str) -> VersionOrder:
    """Sort key: PEP 440 order; what is not a version there (real advisories hold such) comes last, as text."""
    read = read_version(version)
    return (1, _NO_VERSION, version) if read is None else (0, read, "")


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
