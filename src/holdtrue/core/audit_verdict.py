"""The audit's one verdict, and the report it stands in."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from holdtrue.core.audit_judgement import Judgement
from holdtrue.core.audit_merge import Merged, findings_by_inventory
from holdtrue.core.lockfiles import OWN_PROJECT, is_named_internal
from holdtrue.models.audit import (
    AuditCounts,
    AuditReport,
    AuditVerdict,
    Finding,
    InventoryCount,
    NotAudited,
    SourceUse,
    WaiverUse,
)
from holdtrue.models.dependency import Origin

_HOLDTRUE: Final = "holdtrue"
"""This distribution."""

_FROM_SOURCE: Final = frozenset({Origin.LOCAL, Origin.EDITABLE})


def judge(
    findings: Iterable[Finding],
    not_audited: Iterable[NotAudited],
    inventories: Sequence[InventoryCount],
    sources: Sequence[SourceUse],
) -> AuditVerdict:
    """Clean only when every inventory held packages, every one was judged and every source answered.

    A finding that counts outweighs a gap. Gaps that are tolerated do not matter, but where there is nothing besides
    them, nothing was looked at.
    """
    if any(not finding.tolerated for finding in findings):
        return AuditVerdict.VULNERABLE
    if not inventories or any(inventory.audited == 0 for inventory in inventories):
        return AuditVerdict.INCOMPLETE
    if not sources or any(source.failure for source in sources):
        return AuditVerdict.INCOMPLETE
    if any(not item.tolerated for item in not_audited):
        return AuditVerdict.INCOMPLETE
    return AuditVerdict.CLEAN


def tolerate(not_audited: Iterable[NotAudited], judgements: Sequence[Judgement] = ()) -> tuple[NotAudited, ...]:
    """The gaps, each with what tolerates it; they stay listed.

    The project whose lock file it is, and Holdtrue itself where it was installed from source: such a lock file and a
    worker built from a checkout always hold them, and a verdict that can never be clean is one that nobody reads.
    Everyone else's local projects are unknown code.

    Packages that are named as internal, where the policy of every judgement about their inventory says that they are
    audited elsewhere.
    """
    return tuple(
        item.model_copy(update={"tolerated": why}) if (why := _tolerance(item, judgements)) else item
        for item in not_audited
    )


def conclude(
    merged: Merged,
    findings: Sequence[Finding],
    waivers: Sequence[WaiverUse] = (),
    *,
    judgements: Sequence[Judgement] = (),
    started_at: datetime,
    duration_seconds: float,
) -> AuditReport:
    """The report of a merged audit whose findings the policy has judged; what counts comes first.

    An inventory's findings are those that count, as in the report's counts. `judgements` say which gaps are tolerated.
    """
    not_audited = tolerate(merged.not_audited, judgements)
    counting = tuple(finding for finding in findings if not finding.tolerated)
    tolerated = tuple(finding for finding in findings if finding.tolerated)
    held = findings_by_inventory(counting)
    inventories = tuple(item.model_copy(update={"findings": held[item.label]}) for item in merged.inventories)
    return AuditReport(
        verdict=judge(findings, not_audited, inventories, merged.sources),
        counts=AuditCounts(
            audited=sum(inventory.audited for inventory in inventories),
            not_audited=sum(inventory.not_audited for inventory in inventories),
            findings=len(counting),
            tolerated=len(tolerated),
            unique=merged.unique,
            not_audited_tolerated=len(
                {(item.inventory, item.name, item.version, item.origin) for item in not_audited if item.tolerated}
            ),
        ),
        findings=(*counting, *tolerated),
        not_audited=not_audited,
        waivers=tuple(waivers),
        inventories=inventories,
        sources=merged.sources,
        started_at=started_at,
        duration_seconds=duration_seconds,
    )


def _tolerance(item: NotAudited, judgements: Sequence[Judgement]) -> str:
    if item.origin in _FROM_SOURCE:
        if item.reason == OWN_PROJECT:
            return "it is the audited project itself"
        if item.name == _HOLDTRUE:
            return "it is Holdtrue itself"
    if item.origin is None or not is_named_internal(item.origin, item.reason):
        return ""
    about = [judgement for judgement in judgements if judgement.labels is None or item.inventory in judgement.labels]
    trusted = bool(about) and all(judgement.policy.internal_is_audited_elsewhere for judgement in about)
    return "internal packages are audited elsewhere, says the policy" if trusted else ""
