"""Whether a run that holds something is dead."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from holdtrue.core.leases import vitality
from holdtrue.models.lease import Holder, Holding, Liveness, ProcessIdentity, Vitality

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def holding(*, silent_seconds: float = 0, closed: bool = False) -> Holding:
    holder = Holder(
        id=uuid4(),
        run="",
        run_name="",
        flow="",
        process=ProcessIdentity(machine="m", pid=1, started_ticks=1, host="h"),
        opened_at=NOW - timedelta(days=1),
        beat_at=NOW,
        closed_at=NOW if closed else None,
    )
    return Holding(holder=holder, leases=(), silent_seconds=silent_seconds)


@pytest.mark.parametrize(
    ("found", "seen", "vital"),
    [
        (holding(), Liveness.ALIVE, Vitality.LIVE),
        (holding(silent_seconds=3600), Liveness.ALIVE, Vitality.LIVE),
        (holding(), Liveness.DEAD, Vitality.OVER),
        (holding(silent_seconds=44), Liveness.UNKNOWN, Vitality.LIVE),
        (holding(silent_seconds=46), Liveness.UNKNOWN, Vitality.SILENT),
        (holding(silent_seconds=46, closed=True), Liveness.UNKNOWN, Vitality.OVER),
        (holding(closed=True), Liveness.ALIVE, Vitality.OVER),
    ],
)
def test_who_is_dead(found: Holding, seen: Liveness, vital: Vitality) -> None:
    assert vitality(found, seen, 45) is vital
