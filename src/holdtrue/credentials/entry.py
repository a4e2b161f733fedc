"""A run's entry in the ledger: made when it is first needed, kept up to date by a thread, closed at the end."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from holdtrue.credentials.notes import LeaseNotes
from holdtrue.errors import HoldtrueError, TransientError
from holdtrue.models.lease import Holder, Lease, LeaseState, Liveness
from holdtrue.models.ledger import Ledger
from holdtrue.runtime.liveness import observe

_LOGGER: Final = logging.getLogger(__name__)

BEAT_SECONDS: Final = 10.0
"""How often a run tells the ledger that it lives."""

SILENCE_SECONDS: Final = 45.0
"""A run on another machine that did not tell the ledger for this long that it lives seems dead."""

RETRY_SECONDS: Final = 1.0
"""The pause between two attempts to write to a ledger that does not answer."""

END_SECONDS: Final = 10.0
"""How long the end of a run waits for the ledger; a terminated process has 15 s for all of its end."""


class _Writer:
    """The thread that writes to the ledger, and whether it has finished.

    `Thread.join` is not used: a signal that interrupts it makes Python 3.11 take the thread for finished (bpo-45274).
    """

    def __init__(self, write: Callable[[], None]) -> None:
        self._write = write
        self._done = threading.Event()

    def start(self) -> None:
        """Begin to write."""
        threading.Thread(target=self._run, name="holdtrue-ledger", daemon=True).start()

    def is_done(self) -> bool:
        """Whether everything is written."""
        return self._done.is_set()

    def wait(self, seconds: float) -> None:
        """Wait until it is, for a limited time."""
        self._done.wait(seconds)

    def _run(self) -> None:
        try:
            self._write()
        finally:
            self._done.set()


class LedgerEntry:
    """One holder's line and those of its leases. The caller must not open it from two threads at once.

    A separate thread writes to the ledger: a run whose renewals hang is still alive and has to say so, and a ledger
    that hangs must not delay renewals or revocations. The thread tries again until everything is written.
    """

    def __init__(self, holder: Holder, connect: Callable[[], Ledger]) -> None:
        self._holder: Final = holder
        self._connect = connect
        self._ledger: Ledger | None = None
        self._notes: Final = LeaseNotes()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._over = threading.Event()
        self._writer: _Writer | None = None
        self._failure: Exception | None = None

    def open(self) -> Ledger:
        """The ledger, in which the holder is listed from now on.

        Raises:
            HoldtrueError: it cannot be opened.
        """
        if self._ledger is None:
            ledger = self._connect()
            ledger.open_holder(self._holder)
            self._ledger = ledger
            self._start_writer(ledger)
        return self._ledger

    def note(self, line: Lease) -> None:
        """Record a lease that was renewed or has ended, as soon as the ledger answers."""
        self._notes.add(line)
        if self._ledger is not None:
            self._start_writer(self._ledger)
        self._wake.set()

    def close(self) -> None:
        """Write the rest, and then that the run has ended, which releases its locks.

        This waits a limited time for a ledger that does not answer. The writer keeps trying while the process lives;
        after that the sweep brings the ledger up to date. A signal that arrives meanwhile is raised at the end.

        If a tool of the run still runs and it holds a lock, the entry stays open. Other runs take over the lock once
        the process and its tools are gone.
        """
        self._over.set()
        self._wake.set()
        writer, deadline = self._writer, time.monotonic() + END_SECONDS
        interruption: BaseException | None = None
        while writer is not None and not writer.is_done() and (left := deadline - time.monotonic()) > 0:
            try:
                writer.wait(left)
            except BaseException as error:  # noqa: BLE001 - the end is written in spite of it
                interruption = error
        if writer is not None and not writer.is_done():
            _warn_of_what_the_ledger_missed(self._notes.waiting, self._failure)
        if interruption is not None:
            raise interruption

    def _start_writer(self, ledger: Ledger) -> None:
        with self._lock:
            if self._writer is None:
                self._writer = _Writer(lambda: self._write(ledger))
                self._writer.start()

    def _write(self, ledger: Ledger) -> None:
        beat_at = time.monotonic() + BEAT_SECONDS
        while True:
            self._wake.clear()
            is_over = self._over.is_set()
            is_due = not is_over and time.monotonic() >= beat_at
            failure = self._tell(ledger, is_due=is_due, is_over=is_over)
            self._note_failure(failure)
            if is_due and failure is None:
                beat_at = time.monotonic() + BEAT_SECONDS
            if is_over and failure is None and self._has_ended():
                return
            pause = beat_at - time.monotonic() if failure is None else min(RETRY_SECONDS, BEAT_SECONDS)
            self._wake.wait(max(pause, 0))

    def _tell(self, ledger: Ledger, *, is_due: bool, is_over: bool) -> Exception | None:
        """Why not everything could be written; None if it could. A ledger that does not answer is asked only once."""
        steps: list[Callable[[], None]] = [lambda: self._notes.write(ledger)]
        if is_due:
            steps.insert(0, lambda: ledger.beat(self._holder.id))
        if is_over:
            steps.append(lambda: self._end(ledger))
        failure: Exception | None = None
        for step in steps:
            try:
                step()
            except TransientError as error:
                return error
            except Exception as error:  # noqa: BLE001 - the next attempt may succeed, and the other steps as well
                failure = failure or error
        return failure

    def _end(self, ledger: Ledger) -> None:
        if self._leaves_a_writer(ledger):
            _LOGGER.warning("a tool of this run is still running: its environment stays locked until it ends")
        else:
            ledger.close_holder(self._holder.id, datetime.now(UTC))

    def _has_ended(self) -> bool:
        """Whether the writer may end; a later note starts another writer."""
        with self._lock:
            if not self._notes.waiting:
                self._writer = None
            return self._writer is None

    def _leaves_a_writer(self, ledger: Ledger) -> bool:
        if observe(self._holder.process).tools is Liveness.DEAD:
            return False
        return any(lock.holder is not None and lock.holder.id == self._holder.id for lock in ledger.locks.all())

    def _note_failure(self, failure: Exception | None) -> None:
        """Log when an outage begins and when it ends."""
        if failure is not None and self._failure is None:
            _LOGGER.warning(
                "could not write to the ledger; this run tries again until the ledger answers, and still renews what "
                "it holds: %s",
                _shown(failure),
            )
        elif failure is None and self._failure is not None:
            _LOGGER.info("the ledger answers again and lists what this run holds")
        self._failure = failure


def _warn_of_what_the_ledger_missed(lines: tuple[Lease, ...], failure: Exception | None) -> None:
    over = [line for line in lines if line.state.is_settled]
    told = [f"{line.reference}, issued by {line.path}, is {_what_became(line)}" for line in over[:1]]
    others = f", nor what became of {len(over) - 1} more" if len(over) > 1 else ""
    _LOGGER.warning(
        "could not record in the ledger within %g s that %s%s. This process keeps trying until it ends; after that "
        "the next sweep brings the ledger up to date: %s",
        END_SECONDS,
        " and that ".join([*told, "this run ended"]),
        others,
        "no answer yet" if failure is None else _shown(failure),
    )


def _what_became(line: Lease) -> str:
    return "left to expire" if line.state is LeaseState.LEFT else str(line.state)


def _shown(failure: Exception) -> str:
    return str(failure) if isinstance(failure, HoldtrueError) else type(failure).__name__
