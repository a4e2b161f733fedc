"""Which data of an audit are so old, or of such doubtful age, that the report names them."""

from datetime import datetime, timedelta
from typing import Final

from holdtrue.core.audit_finding import aware
from holdtrue.core.clock_skew import is_from_the_future
from holdtrue.models.audit import AuditReport, SourceAnswered, SourceUse

_STALE_AFTER: Final = timedelta(days=30)


def stale_sources(report: AuditReport) -> list[SourceUse]:
    """The snapshots whose data are older than a month, come from the future, or have no date."""
    return [
        source
        for source in report.sources
        if source.answered is SourceAnswered.SNAPSHOT
        and not source.failure
        and not _is_fresh(source.snapshot_at, aware(report.started_at))
    ]


def _is_fresh(taken_at: datetime | None, now: datetime) -> bool:
    if taken_at is None or is_from_the_future(aware(taken_at), now):
        return False
    return now - aware(taken_at) <= _STALE_AFTER
