"""Who holds a lock, whether it may be taken over, and what a person is told of it."""

from holdtrue.errors import EnvironmentLocked, LockLost, RejectedError
from holdtrue.models.lease import Holder, Liveness
from holdtrue.models.lock import EnvironmentLock, HolderStatus, ListedLock, Observation


def holder_status(holder: Holder, silent_seconds: float, seen: Observation, silence_seconds: float) -> HolderStatus:
    """Tell whether the holder lives. Its lock may be taken over only when it is over: silence proves nothing.

    Args:
        holder: As the ledger lists it. A holder is closed there once none of its tools runs any more.
        silent_seconds: How long ago it last said that it lives.
        seen: What this machine sees of it.
        silence_seconds: A holder on another machine counts as silent after this time.
    """
    if holder.closed_at is not None:
        return HolderStatus.OVER
    match seen.process, seen.tools:
        case Liveness.ALIVE, _:
            return HolderStatus.LIVE
        case Liveness.DEAD, Liveness.ALIVE:
            return HolderStatus.ORPHANED
        case Liveness.DEAD, Liveness.DEAD:
            return HolderStatus.OVER
        case Liveness.DEAD, _:
            return HolderStatus.SILENT
        case _:
            return HolderStatus.SILENT if silent_seconds > silence_seconds else HolderStatus.LIVE


def holder_line(lock: EnvironmentLock, status: HolderStatus) -> str:
    """Who holds the lock, where, since when, and when the holder last reported."""
    assert lock.holder is not None  # noqa: S101 - callers ask about held locks only
    since = lock.acquired_at.isoformat(sep=" ", timespec="seconds")
    return (
        f"{_run(lock.holder)} on host {lock.holder.process.host}, pid {lock.holder.process.pid}, since {since}, "
        f"last heard of {lock.silent_seconds:.0f} s ago ({status})"
    )


def locked_error(
    lock: EnvironmentLock, status: HolderStatus, seen: Observation, waited_seconds: float
) -> EnvironmentLocked:
    """The error of a run that could not get the lock in time."""
    match status:
        case HolderStatus.ORPHANED:
            pids = ", ".join(map(str, seen.tool_pids))
            next_step = f"its process is gone, but its tools still run: wait until they end, or end them (pids {pids})."
        case HolderStatus.SILENT:
            next_step = (
                "nobody here can tell whether it still writes. If you are certain that it is dead, release its lock "
                f"with `{unlock_command(lock)}`, and provision again."
            )
        case _:
            next_step = "wait until that run ends, or cancel it, and provision again."
    return EnvironmentLocked(
        f"the environment is locked by {holder_line(lock, status)}; waited {waited_seconds:.0f} s for it",
        where=f"environment {lock.environment}, fence {lock.fence}",
        next_step=next_step,
    )


def lost_error(environment: str, fence: int, found: EnvironmentLock | None) -> LockLost:
    """The error of a run that no longer holds its lock."""
    if found is None:
        how = "the ledger does not list it any more: the ledger was deleted or exchanged"
    elif found.holder is None:
        how = "somebody released it"
    else:
        how = f"it is held by {_run(found.holder)} on host {found.holder.process.host} with fence {found.fence}"
    return LockLost(
        f"this run has lost its lock: {how}. It writes nothing more",
        where=f"environment {environment}, fence {fence}",
        next_step="run `holdtrue locks` to see whether another run holds it, and run `provision` again when it is free",
    )


def require_releasable(lock: EnvironmentLock, status: HolderStatus | None, fence: int) -> None:
    """Check that a person may release this acquisition of the lock.

    Raises:
        RejectedError: the lock was taken again since, or its holder lives.
    """
    where = f"environment {lock.environment}"
    if lock.fence != fence:
        raise RejectedError(
            f"{fence} is not the current fence, which is {lock.fence}",
            where=where,
            next_step="run `holdtrue locks` and use the fence that it shows",
        )
    if status in (HolderStatus.LIVE, HolderStatus.ORPHANED):
        raise RejectedError(
            f"the holder may still write: {holder_line(lock, status)}",
            where=where,
            next_step="cancel that run and wait until it has ended; its lock is released with it",
        )


def writer_meanwhile(before: ListedLock | None, after: ListedLock | None) -> str:
    """Who wrote, or may have written, to an environment between two looks at its lock; empty when nobody did.

    A silent holder on another machine does not count: otherwise a dead machine would make every check unknown.
    """
    for seen in (before, after):
        if seen is not None and seen.status in (HolderStatus.LIVE, HolderStatus.ORPHANED):
            return holder_line(seen.lock, seen.status)
    fences = [seen.lock.fence if seen is not None else 0 for seen in (before, after)]
    return "" if fences[0] == fences[1] else f"a run that has ended by now (fence {fences[1]})"


def unlock_command(lock: EnvironmentLock) -> str:
    """The command that releases this acquisition of the lock and no later one."""
    return f"holdtrue unlock {lock.environment} --fence {lock.fence}"


def _run(holder: Holder) -> str:
    if holder.run_name:
        return f"run {holder.run_name} ({holder.run}, flow {holder.flow})"
    return f"run {holder.run}" if holder.run else "a process outside a flow"
