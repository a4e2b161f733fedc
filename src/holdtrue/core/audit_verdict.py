"""The audit's one verdict, and the report it stands in."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from holdtrue.core.audit_merge import Merged, findings_by_inventory
from holdtrue.core.lockfiles import OWN_PROJECT as THE_PROJECT_ITSELF
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

OWN_PROJECT: Final = "holdtrue"
"""The distribution of this project."""

_FROM_SOURCE: Final = frozenset({Origin.LOCAL, Origin.EDITABLE})


def judge(
    findings: Iterable[Finding],
    not_audited: Iterable[NotAudited],
    inventories: Sequence[InventoryCount],
    sources: Sequence[SourceUse],
) -> AuditVerdict:
    """Clean only when every inventory held packages, every one was judged and every source answered.

    A finding that counts outweighs a gap. The one gap that is tolerated is the project itself.
    """
    if any(not finding.tolerated for finding in findings):
        return AuditVerdict.VULNERABLE
    if not inventories or any(inventory.audited == 0 for inventory in inventories):
        return AuditVerdict.INCOMPLETE
    if not sources or any(source.failure for source in sources):
        return AuditVerdict.INCOMPLETE
    if any(not _is_tolerated(item) for item in not_audited):
        return AuditVerdict.INCOMPLETE
    return AuditVerdict.CLEAN


def conclude(
    merged: Merged,
    findings: Sequence[Finding],
    waivers: Sequence[WaiverUse] = (),
    *,
    started_at: datetime,
    duration_seconds: float,
) -> AuditReport:
    """The report of a merged audit whose findings the policy has judged; what counts comes first.

    An inventory's findings are those that count, as in the report's counts.
    """
    counting = tuple(finding for finding in findings if not finding.tolerated)
    tolerated = tuple(finding for finding in findings if finding.tolerated)
    held = findings_by_inventory(counting)
    inventories = tuple(item.model_copy(update={"findings": held[item.label]}) for item in merged.inventories)
    return AuditReport(
        verdict=judge(findings, merged.not_audited, inventories, merged.sources),
        counts=AuditCounts(
            audited=sum(inventory.audited for inventory in inventories),
            not_audited=sum(inventory.not_audited for inventory in inventories),
            findings=len(counting),
            tolerated=len(tolerated),
            unique=merged.unique,
        ),
        findings=(*counting, *tolerated),
        not_audited=merged.not_audited,
        waivers=tuple(waivers),
        inventories=inventories,
        sources=merged.sources,
        started_at=started_at,
        duration_seconds=duration_seconds,
    )


def _is_tolerated(item: NotAudited) -> bool:
    """Only the project whose lock file it is, and Holdtrue itself where it was installed from source.

    They stay listed. Such a lock file and a worker built from a checkout always hold them, and a verdict that can never
    be clean is one that nobody reads. Everyone else's local projects are unknown code.
    """
    return item.origin in _FROM_SOURCE and (item.name == OWN_PROJECT or item.reason == THE_PROJECT_ITSELF)
