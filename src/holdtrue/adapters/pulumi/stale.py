"""What a killed run of this machine left of an operation on a stack, and how the next one clears it."""

import re
from collections.abc import Callable, Sequence

from holdtrue.adapters.pulumi.claims import Abandoned
from holdtrue.adapters.pulumi.locks import all_left_by, parse_locks, remove_file
from holdtrue.models.base import Progress, ProgressLevel, ProgressSink


class Leftovers:
    """What is left of dead operations on one stack. `cancel` removes every lock of the stack."""

    def __init__(self, found: Sequence[Abandoned], cancel: Callable[[], None]) -> None:
        self._found = found
        self._cancel = cancel

    def tidy(self) -> None:
        """Remove everything but what may be needed to know a lock as our own."""
        for item in self._found:
            item.tidy()

    def release_locks(self, text: str, on_progress: ProgressSink) -> bool:
        """Remove the locks that the engine names in `text`, if all of them are of our dead; False if it did not."""
        locks = parse_locks(text)
        engines = frozenset(pid for item in self._found for pid in item.engines)
        if not all_left_by(locks, engines):
            return False
        elsewhere = [lock for lock in locks if not remove_file(lock)]
        if elsewhere:
            self._cancel()
        for lock in locks:
            on_progress(
                Progress(message=f"removed the lock of a run that was killed: {lock}", level=ProgressLevel.WARNING)
            )
        return True

    def forget(self) -> None:
        """The stack is free and nothing of them is needed any more."""
        for item in self._found:
            item.tidy()
            item.forget()


def engine_ended_by_itself(failure: str | None) -> bool:
    """Whether a failed engine has removed its lock: it was not killed, as a negative exit code says."""
    return failure is not None and re.search(r"^ code: -", failure, re.MULTILINE) is None
