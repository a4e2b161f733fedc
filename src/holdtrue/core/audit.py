"""Merge the audits of many targets into one report, and judge it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from packaging.version import InvalidVersion, Version

from holdtrue.models.advisory import Advisory, AuditReport, AuditVerdict, NotAudited, TargetAudit

LOCAL_PROJECT: Final = "local project"
"""Reason of a distribution that was installed from a folder or file of this machine: no source knows its version."""

OWN_PROJECT: Final = "holdtrue"

_PREFERRED_IDS: Final = ("PYSEC-", "CVE-", "GHSA-")


def merge(
    targets: Sequence[TargetAudit],
    failures: Sequence[NotAudited],
    *,
    source: str,
    started_at: datetime,
    duration_seconds: float,
) -> AuditReport:
    """One report of all targets; `failures` are whole targets whose audit ended in an error.

    An advisory is one finding per package and version, however many ids and targets name it. `audited` counts packages
    per target, so one that three targets hold counts three times.
    """
    advisories = _merge_advisories(item for target in targets for item in target.advisories)
    listed = (*(item for target in targets for item in target.not_audited), *failures)
    not_audited = tuple(dict.fromkeys(listed))
    return AuditReport(
        verdict=_judge(targets, advisories, not_audited),
        audited=sum(target.audited for target in targets),
        advisories=advisories,
        not_audited=not_audited,
        targets=tuple(targets),
        source=source,
        started_at=started_at,
        duration_seconds=duration_seconds,
    )


def _judge(
    targets: Sequence[TargetAudit], advisories: Sequence[Advisory], not_audited: Sequence[NotAudited]
) -> AuditVerdict:
    """Clean only when every target held packages and each was judged; a finding outweighs a gap."""
    if advisories:
        return AuditVerdict.VULNERABLE
    if not targets or any(target.audited == 0 for target in targets):
        return AuditVerdict.INCOMPLETE
    if any(not _is_tolerated(item) for item in not_audited):
        return AuditVerdict.INCOMPLETE
    return AuditVerdict.CLEAN


def _is_tolerated(item: NotAudited) -> bool:
    """Only this project itself, where it was installed from source.

    It stays listed. A worker built from a checkout always holds it, and a verdict that can never be clean is one
    that nobody reads. Everyone else's local projects are unknown code.
    """
    return item.name == OWN_PROJECT and item.reason == LOCAL_PROJECT


def _merge_advisories(found: Iterable[Advisory]) -> tuple[Advisory, ...]:
    groups: dict[tuple[str, str], list[Advisory]] = {}
    for advisory in found:
        merged = advisory
        others = groups.setdefault((advisory.package, advisory.version), [])
        # One advisory may join two that did not know of each other, so every related one is taken in.
        for other in [item for item in others if _names(item) & _names(advisory)]:
            others.remove(other)
            merged = _join(other, merged)
        others.append(_join(merged, merged))
    return tuple(sorted((item for group in groups.values() for item in group), key=_order))


def _names(advisory: Advisory) -> frozenset[str]:
    return frozenset({advisory.id, *advisory.aliases})


def _join(first: Advisory, second: Advisory) -> Advisory:
    """One finding of two that name each other; joined with itself, a finding takes its canonical form."""
    names = sorted(_names(first) | _names(second), key=_id_order)
    return Advisory(
        package=first.package,
        version=first.version,
        id=names[0],
        aliases=tuple(names[1:]),
        fixed_in=tuple(sorted({*first.fixed_in, *second.fixed_in}, key=_version_order)),
        summary=first.summary or second.summary,
        found_in=tuple(sorted({*first.found_in, *second.found_in})),
    )


def _id_order(name: str) -> tuple[int, str]:
    ranks = (rank for rank, prefix in enumerate(_PREFERRED_IDS) if name.startswith(prefix))
    return next(ranks, len(_PREFERRED_IDS)), name


def _version_order(version: str) -> tuple[int, Version, str]:
    """PEP 440 order; what is not a version there (real advisories hold such) comes last, as text."""
    try:
        return 0, Version(version), version
    except InvalidVersion:
        return 1, Version("0"), version


def _order(advisory: Advisory) -> tuple[str, tuple[int, Version, str], tuple[int, str]]:
    return advisory.package, _version_order(advisory.version), _id_order(advisory.id)
