"""The last audit's findings, kept where every worker finds them: in the latest artifact `audit-findings`."""

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


def compare_with_last(report: AuditReport, *, is_whole: bool) -> FleetAudit:
    """Tell what is new since the last audit, and keep this one for the next.

    Args:
        report: This audit.
        is_whole: Whether it is about the whole fleet.
    """
    previous, reason = _recall()
    changes = compare(previous, report)
    text = remembered(report, previous, changes.not_looked_at, is_whole=is_whole)
    create_markdown_artifact(
        key=KEY, markdown=text, description=f"{len(report.findings)} findings, kept for comparison with the next audit"
    )
    fields = {name: getattr(report, name) for name in AuditReport.model_fields}
    return FleetAudit(**fields, changes=changes, not_compared=reason)


def _recall() -> tuple[AuditReport | None, str]:
    """What the last audit kept, or why there is nothing."""
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[KEY]))
    try:
        with get_client(sync_client=True) as client:
            found = client.read_artifacts(artifact_filter=wanted, sort=ArtifactSort.CREATED_DESC, limit=1)
        return (read_memory(str(found[0].data)), "") if found else (None, "this is the first audit")
    except MemoryUnreadable as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the last audit, this one stands
        reason = f"the last audit's findings could not be asked for ({type(error).__name__})"
    watch(Progress(message=f"no comparison: {reason}", level=ProgressLevel.WARNING))
    return None, reason
