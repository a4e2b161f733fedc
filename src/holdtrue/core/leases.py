"""Whether a run that holds something is dead."""

from holdtrue.models.lease import Holding, Liveness, Vitality


def vitality(holding: Holding, seen: Liveness, silence_seconds: float) -> Vitality:
    """Over when the run ended or its process is gone; where that cannot be seen, silent when it does not beat.

    Args:
        holding: As the ledger lists it.
        seen: What this machine knows of its process.
        silence_seconds: A run that has not said for longer than this that it lives, seems dead.
    """
    if holding.holder.closed_at is not None:
        return Vitality.OVER
    match seen:
        case Liveness.ALIVE:
            return Vitality.LIVE
        case Liveness.DEAD:
            return Vitality.OVER
        case Liveness.UNKNOWN:
            return Vitality.SILENT if holding.silent_seconds > silence_seconds else Vitality.LIVE
