"""What has yet to be written to the ledger about a run's leases: the latest state of each, kept until it is written."""

import logging
import threading
from typing import Final
from uuid import UUID

from holdtrue.errors import AccessDenied, HoldtrueError, RejectedError, TransientError
from holdtrue.models.lease import Lease, LeaseRecorder, LeaseState

_LOGGER: Final = logging.getLogger(__name__)


class LeaseNotes:
    """Each note is the ledger's line as it should be. Threads share them; only `write` waits for the ledger."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[UUID, Lease] = {}

    def add(self, line: Lease) -> None:
        """Add a line to write. A settled lease stays settled, even if a renewal finishes after the revocation."""
        with self._lock:
            former = self._lines.get(line.id)
            if former is None or not former.state.is_settled:
                self._lines[line.id] = line

    @property
    def waiting(self) -> tuple[Lease, ...]:
        """What is not written yet, the oldest first."""
        with self._lock:
            return tuple(self._lines.values())

    def write(self, ledger: LeaseRecorder) -> None:
        """Write what is waiting. A note that the ledger refuses for good is dropped with a warning.

        Raises:
            HoldtrueError: not everything could be written; the rest keeps waiting. A ledger that does not answer is
                asked only once.
        """
        failure: HoldtrueError | None = None
        for line in self.waiting:
            try:
                _write(ledger, line)
            except HoldtrueError as error:
                if isinstance(error, TransientError):
                    raise
                if isinstance(error, AccessDenied) or not isinstance(error, RejectedError):
                    failure = failure or error
                    continue
                _LOGGER.warning("the ledger refuses to update %s, issued by %s: %s", line.reference, line.path, error)
            self._drop(line)
        if failure is not None:
            raise failure

    def _drop(self, written: Lease) -> None:
        with self._lock:
            if self._lines.get(written.id) is written:
                del self._lines[written.id]


def _write(ledger: LeaseRecorder, line: Lease) -> None:
    if line.state is LeaseState.HELD:
        assert line.expires_at is not None  # noqa: S101 - what is held has an end
        ledger.hold(line.id, line.reference, line.expires_at)
    else:
        ledger.settle(line.id, line.state)
