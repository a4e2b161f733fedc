"""Whether a run that holds something is dead."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from holdtrue.core.leases import is_dead
from holdtrue.models.lease import Holder, Liveness, ProcessIdentity

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def holder(*, silent_seconds: float = 0, closed: bool = False) -> Holder:
    return Holder(
        id=uuid4(),
        run="",
        run_name="",
        flow="",
        process=ProcessIdentity(machine="m", pid=1, started_ticks=1, host="h"),
        opened_at=NOW - timedelta(days=1),
        beat_at=NOW - timedelta(seconds=silent_seconds),
        closed_at=NOW if closed else None,
    )


@pytest.mark.parametrize(
    ("found", "seen", "dead"),
    [
        (holder(), Liveness.ALIVE, False),
        (holder(silent_seconds=3600), Liveness.ALIVE, False),
        (holder(), Liveness.DEAD, True),
        (holder(silent_seconds=44), Liveness.UNKNOWN, False),
        (holder(silent_seconds=46), Liveness.UNKNOWN, True),
        (holder(closed=True), Liveness.ALIVE, True),
    ],
)
def test_who_is_dead(found: Holder, seen: Liveness, *, dead: bool) -> None:
    assert is_dead(found, seen, NOW, 45) is dead
