"""What a run's ledger knows of handlers that are still to run on the hosts of an environment."""

from collections.abc import Collection

from holdtrue.credentials.scope import current_scope
from holdtrue.errors import HoldtrueError
from holdtrue.models.base import Progress, ProgressLevel, ProgressSink, ignore_progress
from holdtrue.models.configuration import HandlerNote
from holdtrue.models.handlers import OpenHandler


class HandlerMemory:
    """Writes each note down as it comes, so that a run that is killed leaves them too.

    A playbook is not stopped because the ledger is away: notes that it did not take are given to it with the next one,
    and once more by `settle`.
    """

    def __init__(self, environment: str, on_progress: ProgressSink = ignore_progress) -> None:
        self._environment = environment
        self._on_progress = on_progress
        self._waiting: list[HandlerNote] = []

    def take(self, note: HandlerNote) -> None:
        """A handler was notified, or has run."""
        self._waiting.append(note)
        self._write()

    def settle(self) -> None:
        """Write down what waits; what cannot be written is named in the log."""
        error = self._write()
        for note in self._waiting if error is not None else ():
            done = "still has to run" if note.is_open else "has run"
            self._tell(
                f"the ledger could not be told that the handler {note.handlers[0]} {done} on {note.host}: {error}"
            )

    def _write(self) -> HoldtrueError | None:
        try:
            while self._waiting:
                note = self._waiting[0]
                handlers = current_scope().ledger().handlers
                if note.is_open:
                    handlers.add(self._environment, note.host, note.handlers[0])
                else:
                    handlers.remove(self._environment, note.host, note.handlers)
                del self._waiting[0]
        except HoldtrueError as error:
            return error
        return None

    def _tell(self, message: str) -> None:
        self._on_progress(Progress(message=message, level=ProgressLevel.ERROR))


def open_handlers(environment: str, hosts: Collection[str]) -> tuple[OpenHandler, ...]:
    """Those that are still to run on these hosts.

    Raises:
        HoldtrueError: the ledger cannot be asked, so nobody knows.
    """
    noted = current_scope().ledger().handlers.all(environment)
    return tuple(handler for handler in noted if handler.host in hosts)
