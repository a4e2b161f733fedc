"""One audit of many inventories: every source is asked once about their union, and policies judge what was found."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from holdtrue.core.audit_judgement import Judgement, judge_findings
from holdtrue.core.audit_merge import merge, pins_to_ask
from holdtrue.core.audit_verdict import conclude
from holdtrue.errors import HoldtrueError, RejectedError
from holdtrue.models.audit import AuditReport
from holdtrue.models.dependency import Inventory, Pin
from holdtrue.models.osv import AdvisorySource, SourceAnswer


def _now() -> datetime:
    return datetime.now(UTC)


def audit(
    inventories: Sequence[Inventory],
    sources: Sequence[AdvisorySource],
    *judgements: Judgement,
    goes_on: bool = False,
    now: Callable[[], datetime] = _now,
) -> AuditReport:
    """Ask every source about every package version that the inventories hold, each once, and judge the answers.

    A source that does not answer is in the report, beside what the others found.

    Args:
        inventories: What there is.
        sources: Whom to ask. Each has a retry policy of its own: nothing above repeats an audit.
        judgements: Whose findings they are; a finding counts if it counts for any, and without judgements all count.
        goes_on: List a source that is not what its location promises like one that does not answer.
        now: The clock.

    Raises:
        RejectedError: a source is not what its location promises, unless the audit goes on.
    """
    started_at, clock = now(), time.monotonic()
    pins = pins_to_ask(inventories)
    answers = [(source.name, _ask(source, pins, goes_on=goes_on)) for source in sources]
    locations = {source.name: source.location for source in sources}
    merged = merge(inventories, answers, locations=locations, at=started_at)
    judged, waivers = judge_findings(merged.findings, judgements, started_at.date())
    return conclude(
        merged,
        judged,
        waivers,
        judgements=judgements,
        started_at=started_at,
        duration_seconds=round(time.monotonic() - clock, 3),
    )


def _ask(source: AdvisorySource, pins: Sequence[Pin], *, goes_on: bool) -> SourceAnswer | str:
    try:
        return source.ask(pins)
    except HoldtrueError as error:
        if isinstance(error, RejectedError) and not goes_on:
            raise
        return str(error)
