"""How a run takes an environment's lock: it waits, or takes the lock over from a holder that is proven dead."""

import logging
import time
from typing import Final

from holdtrue.core.locks import holder_line, holder_status, locked_error, lost_error
from holdtrue.credentials.entry import SILENCE_SECONDS
from holdtrue.credentials.scope import CredentialScope, current_scope
from holdtrue.errors import HoldtrueError
from holdtrue.models.base import Progress, ProgressLevel, ProgressSink, ignore_progress
from holdtrue.models.lease import Liveness
from holdtrue.models.lock import EnvironmentLock, HolderStatus, ListedLock, Observation
from holdtrue.runtime.liveness import current_process, observe

_LOGGER: Final = logging.getLogger(__name__)

_TELL_SECONDS: Final = 30.0
"""Between two log lines that say what a run waits for."""

_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 1.0
"""Between two attempts to take a held lock; each pause is twice as long as the last."""


class HeldLock:
    """An environment's lock that this run holds."""

    def __init__(self, scope: CredentialScope, lock: EnvironmentLock) -> None:
        self._scope = scope
        self.environment: Final = lock.environment
        self.fence: Final = lock.fence

    def require_held(self) -> None:
        """Ask the ledger, before each write, whether the lock is still this run's.

        Raises:
            LockLost: it was released or taken over.
            HoldtrueError: the ledger cannot be asked, so nobody knows.
        """
        found = self._scope.ledger().locks.find(self.environment)
        if not (found and found.fence == self.fence and found.holder and found.holder.id == self._scope.holder):
            raise lost_error(self.environment, self.fence, found)

    def release(self) -> None:
        """Release it, unless another run holds it by now or a tool of this process is still running.

        A lock that is not released here is released when the run closes its ledger entry, or taken over after the run
        is proven dead.
        """
        if observe(current_process()).tools is not Liveness.DEAD:
            _LOGGER.warning(
                "a tool of this run is still running: environment %s stays locked until it ends", self.environment
            )
            return
        try:
            self._scope.ledger().locks.release(self.environment, self.fence)
        except HoldtrueError as error:
            _LOGGER.warning("environment %s stays locked until this run is over: %s", self.environment, error)


def lock_environment(environment: str, *, wait_seconds: float, on_progress: ProgressSink = ignore_progress) -> HeldLock:
    """Take the lock for the run of the current scope, whose heartbeat in the ledger shows that the holder lives.

    A holder that is proven dead loses it at once. Any other holder is waited for, and named at once and then every
    30 seconds. There is no queue: of several runs that wait, the first to look gets it.

    Raises:
        EnvironmentLocked: it was held for all of `wait_seconds`.
        HoldtrueError: the ledger cannot be asked.
    """
    scope = current_scope()
    locks = scope.ledger().locks
    began = tell_at = time.monotonic()
    pause = _FIRST_PAUSE_SECONDS
    while (lock := locks.acquire(environment, scope.holder)) is None:
        found = locks.find(environment)
        if found is None or found.holder is None:
            continue  # It was released in between.
        status, seen = _look(found)
        if status is HolderStatus.OVER:
            lock = locks.acquire(environment, scope.holder, take_over_fence=found.fence)
            if lock is not None:
                on_progress(_taken_over(found, status))
                break
            continue  # Another run was quicker.
        now = time.monotonic()
        if now - began >= wait_seconds:
            raise locked_error(found, status, seen, now - began)
        if now >= tell_at:
            on_progress(Progress(message=f"waiting for {environment}, locked by {holder_line(found, status)}"))
            tell_at = now + _TELL_SECONDS
        time.sleep(min(pause, began + wait_seconds - now))
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
    return HeldLock(scope, lock)


def lock_of(environment: str) -> ListedLock | None:
    """The environment's lock as it is now, for flows that only read; None when it was never taken.

    Raises:
        HoldtrueError: the ledger cannot be asked.
    """
    found = current_scope().ledger().locks.find(environment)
    return None if found is None else listed(found)


def listed(lock: EnvironmentLock) -> ListedLock:
    """The lock, and whether its holder still lives."""
    return ListedLock(lock=lock, status=None if lock.holder is None else _look(lock)[0])


def _taken_over(former: EnvironmentLock, status: HolderStatus) -> Progress:
    return Progress(
        message=f"took over the lock of {former.environment} from {holder_line(former, status)}",
        level=ProgressLevel.WARNING,
    )


def _look(lock: EnvironmentLock) -> tuple[HolderStatus, Observation]:
    assert lock.holder is not None  # noqa: S101 - callers ask about held locks only
    seen = observe(lock.holder.process)
    return holder_status(lock.holder, lock.silent_seconds, seen, SILENCE_SECONDS), seen
