"""Rows as the values that they stand for."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from holdtrue.models.lease import Holder, ProcessIdentity

_OF_RUN: Final = ("id", "run", "run_name", "flow", "opened_at", "beat_at", "closed_at")
_OF_PROCESS: Final = ("machine", "pid", "host", "user_id")


def holder_of(columns: Mapping[Any, Any]) -> Holder:
    """The holder in a row that has its columns."""
    process = ProcessIdentity(
        started_ticks=int(columns["started_ticks"]), **{name: columns[name] for name in _OF_PROCESS}
    )
    return Holder(process=process, **{name: columns[name] for name in _OF_RUN})


def silence(holder: Holder, now: datetime) -> float:
    """Seconds since it last said that it lives."""
    return max(0.0, (now - holder.beat_at).total_seconds())
