"""Which data of an audit are so old that somebody should hear of it."""

from datetime import timedelta
from typing import Final

from holdtrue.core.audit_finding import aware
from holdtrue.models.audit import AuditReport, SourceAnswered, SourceUse

_STALE_AFTER: Final = timedelta(days=30)


def stale_sources(report: AuditReport) -> list[SourceUse]:
    """The snapshots whose data are older than a month, or have no date."""
    return [
        source
        for source in report.sources
        if source.answered is SourceAnswered.SNAPSHOT
        and not source.failure
        and (source.snapshot_at is None or aware(report.started_at) - aware(source.snapshot_at) > _STALE_AFTER)
    ]
