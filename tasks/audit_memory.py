"""The last audit's findings, kept where every worker finds them: in the latest artifact `audit-findings`."""

from dataclasses import dataclass
from typing import Final

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort

from holdtrue.core.audit_comparison import compare
from holdtrue.core.audit_memory import MemoryUnreadable, read_memory, remembered
from holdtrue.models.audit import AuditReport
from holdtrue.models.audit_changes import FleetAudit
from holdtrue.models.base import Progress, ProgressLevel
from tasks.journal import watch

KEY: Final = "audit-findings"


@dataclass(frozen=True, slots=True)
class LastAudit:
    """What the last audit kept, or why there is nothing.

    Attributes:
        report: What it kept; None when there is nothing to compare with.
        reason: Why not.
        is_hidden: Whether there may be one that could not be asked for, and that has to stay.
    """

    report: AuditReport | None
    reason: str = ""
    is_hidden: bool = False


def recall_last_audit() -> LastAudit:
    """Read what the last audit kept. That it cannot be read is an answer, and a warning."""
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[KEY]))
    try:
        with get_client(sync_client=True) as client:
            found = client.read_artifacts(artifact_filter=wanted, sort=ArtifactSort.CREATED_DESC, limit=1)
        return LastAudit(read_memory(str(found[0].data))) if found else LastAudit(None, "this is the first audit")
    except MemoryUnreadable as error:
        last = LastAudit(None, str(error))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the last audit, this one stands
        reason = f"the last audit's findings could not be asked for ({type(error).__name__})"
        last = LastAudit(None, reason, is_hidden=True)
    watch(Progress(message=f"no comparison: {last.reason}", level=ProgressLevel.WARNING))
    return last


def compare_with(last: LastAudit, report: AuditReport) -> FleetAudit:
    """The report with what is new, known and fixed since the last audit."""
    fields = {name: getattr(report, name) for name in AuditReport.model_fields}
    return FleetAudit(**fields, changes=compare(last.report, report), not_compared=last.reason)


def remember(report: AuditReport, last: LastAudit, *, is_whole: bool) -> None:
    """Keep this audit for the next one. What has to be told about it has to be told before: then nothing is new.

    A part of the fleet does not take the place of a whole that could not be asked for.

    Args:
        report: This audit.
        last: What it was compared with.
        is_whole: Whether it is about the whole fleet.
    """
    if last.is_hidden and not is_whole:
        return
    create_markdown_artifact(
        key=KEY,
        markdown=remembered(report, last.report, is_whole=is_whole),
        description=f"{len(report.findings)} findings, kept for comparison with the next audit",
    )
