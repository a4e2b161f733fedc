"""Leftovers of killed runs on this machine, and how the next operation on the stack removes them."""

import re
from collections.abc import Callable, Sequence

from holdtrue.adapters.pulumi.claims import Abandoned
from holdtrue.adapters.pulumi.locks import all_left_by, parse_locks, remove_file
from holdtrue.models.base import Progress, ProgressLevel, ProgressSink


class Leftovers:
    """The leftovers of dead operations on one stack. `cancel` removes every lock of the stack."""

    def __init__(self, found: Sequence[Abandoned], cancel: Callable[[], None]) -> None:
        self._found = found
        self._cancel = cancel

    def tidy(self) -> None:
        """Remove everything except the marker files that may be needed to recognise a lock."""
        for item in self._found:
            item.tidy()

    def release_locks(self, text: str, on_progress: ProgressSink) -> bool:
        """Remove the locks named in `text` if all belong to dead engines of this machine; return whether it did."""
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
        """Remove everything: the stack is not locked any more, so no marker file is needed."""
        for item in self._found:
            item.tidy()
            item.forget()


def engine_ended_by_itself(failure: str | None) -> bool:
    """Whether a failed engine has removed its lock. A negative exit code means that it was killed before."""
    return failure is not None and re.search(r"^ code: -", failure, re.MULTILINE) is None
