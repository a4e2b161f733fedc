"""Who holds a lock, whether it may be taken over, and what a person is told of it."""

from holdtrue.errors import EnvironmentLocked, LockLost, RejectedError
from holdtrue.models.lease import Holder, Liveness
from holdtrue.models.lock import EnvironmentLock, ListedLock, Sighting, Standing


def standing(holder: Holder, silent_seconds: float, seen: Sighting, silence_seconds: float) -> Standing:
    """What the holder is. Only one that is over has lost its claim: silence proves nothing.

    Args:
        holder: As the ledger lists it. It is closed there when no tool of it runs any more.
        silent_seconds: How long ago it last said that it lives.
        seen: What this machine sees of it.
        silence_seconds: A holder elsewhere that has not said for longer than this that it lives is silent.
    """
    if holder.closed_at is not None:
        return Standing.OVER
    match seen.process, seen.tools:
        case Liveness.ALIVE, _:
            return Standing.LIVE
        case Liveness.DEAD, Liveness.ALIVE:
            return Standing.ORPHANED
        case Liveness.DEAD, Liveness.DEAD:
            return Standing.OVER
        case Liveness.DEAD, _:
            return Standing.SILENT
        case _:
            return Standing.SILENT if silent_seconds > silence_seconds else Standing.LIVE


def holder_line(lock: EnvironmentLock, held_as: Standing) -> str:
    """Who holds it, where, since when, and when it was last heard of."""
    assert lock.holder is not None  # noqa: S101 - a free lock has no standing
    since = lock.acquired_at.isoformat(sep=" ", timespec="seconds")
    return (
        f"{_run(lock.holder)} on host {lock.holder.process.host}, pid {lock.holder.process.pid}, since {since}, "
        f"last heard of {lock.silent_seconds:.0f} s ago ({held_as})"
    )


def locked(lock: EnvironmentLock, held_as: Standing, seen: Sighting, waited_seconds: float) -> EnvironmentLocked:
    """The error of a run that could not get the lock in time."""
    match held_as:
        case Standing.ORPHANED:
            pids = ", ".join(map(str, seen.tool_pids))
            next_step = f"its process is gone, but its tools still run: wait until they end, or end them (pids {pids})."
        case Standing.SILENT:
            next_step = (
                "nobody here can tell whether it still writes. If it is certainly dead, release its lock with "
                f"`{unlock_command(lock)}`, and provision again."
            )
        case _:
            next_step = "wait until that run ends, or cancel it, and provision again."
    return EnvironmentLocked(
        f"the environment is locked by {holder_line(lock, held_as)}; waited {waited_seconds:.0f} s for it",
        where=f"environment {lock.environment}, fence {lock.fence}",
        next_step=next_step,
    )


def lost(environment: str, fence: int, found: EnvironmentLock | None) -> LockLost:
    """The error of a run whose lock is not its own any more."""
    if found is None or found.holder is None:
        how = "it was released by somebody else"
    else:
        how = f"it is held by {_run(found.holder)} on host {found.holder.process.host} with fence {found.fence}"
    return LockLost(
        f"this run has lost its lock: {how}. It writes nothing more",
        where=f"environment {environment}, fence {fence}",
        next_step="run `holdtrue locks` to see whether another run holds it, and provision again when it is free.",
    )


def require_releasable(lock: EnvironmentLock, held_as: Standing | None, fence: int) -> None:
    """Let a person release this very lock.

    Raises:
        RejectedError: another acquisition holds it by now, or its holder lives.
    """
    where = f"environment {lock.environment}"
    if lock.fence != fence:
        raise RejectedError(
            f"{fence} is not the current fence, which is {lock.fence}",
            where=where,
            next_step="run `holdtrue locks` and use the fence that it shows.",
        )
    if held_as in (Standing.LIVE, Standing.ORPHANED):
        raise RejectedError(
            f"the holder may still write: {holder_line(lock, held_as)}",
            where=where,
            next_step="cancel that run and wait until it has ended; its lock is released with it.",
        )


def writer_meanwhile(before: ListedLock | None, after: ListedLock | None) -> str:
    """Who wrote, or may have written, to an environment between two looks at its lock; empty when nobody did.

    A holder elsewhere that was not heard of for long does not count: else a machine that died would blind every look.
    """
    for seen in (before, after):
        if seen is not None and seen.standing in (Standing.LIVE, Standing.ORPHANED):
            return holder_line(seen.lock, seen.standing)
    fences = [seen.lock.fence if seen is not None else 0 for seen in (before, after)]
    return "" if fences[0] == fences[1] else f"a run that has ended by now (fence {fences[1]})"


def unlock_command(lock: EnvironmentLock) -> str:
    """What releases this lock and no later one."""
    return f"holdtrue unlock {lock.environment} --fence {lock.fence}"


def _run(holder: Holder) -> str:
    if holder.run_name:
        return f"run {holder.run_name} ({holder.run}, flow {holder.flow})"
    return f"run {holder.run}" if holder.run else "a process outside a flow"
