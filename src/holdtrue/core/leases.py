"""Whether a run that holds something is dead."""

from datetime import datetime, timedelta

from holdtrue.models.lease import Holder, Liveness


def is_dead(holder: Holder, seen: Liveness, now: datetime, silence_seconds: float) -> bool:
    """True when the run ended, when its process is gone, or, where that cannot be seen, when it has fallen silent.

    Args:
        holder: As the ledger lists it.
        seen: What this machine knows of its process.
        now: The time of this look.
        silence_seconds: A run that has not said for longer than this that it lives, does not.
    """
    if holder.closed_at is not None:
        return True
    match seen:
        case Liveness.ALIVE:
            return False
        case Liveness.DEAD:
            return True
        case Liveness.UNKNOWN:
            return now - holder.beat_at > timedelta(seconds=silence_seconds)
