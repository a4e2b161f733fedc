"""A run's entry in the ledger: made when it is first needed, kept fresh by a beat, closed at the end."""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from holdtrue.errors import HoldtrueError
from holdtrue.models.lease import Holder, Liveness
from holdtrue.models.ledger import Ledger
from holdtrue.runtime.liveness import observe

_LOGGER: Final = logging.getLogger(__name__)

BEAT_SECONDS: Final = 10.0
"""How often a run tells the ledger that it lives."""

SILENCE_SECONDS: Final = 45.0
"""A run on another machine that did not tell the ledger for this long that it lives seems dead."""

_STOP_SECONDS: Final = 1.0
"""How long the end waits for a beat that is under way."""


class LedgerEntry:
    """One holder's line. Its caller sees to it that it is not opened by two threads at once."""

    def __init__(self, holder: Holder, connect: Callable[[], Ledger]) -> None:
        self._holder: Final = holder
        self._connect = connect
        self._ledger: Ledger | None = None
        self._over = threading.Event()
        self._beat = threading.Thread(target=self._keep_beating, name="holdtrue-beat", daemon=True)

    def open(self) -> Ledger:
        """The ledger, in which the holder is listed from now on.

        Raises:
            HoldtrueError: it cannot be opened.
        """
        if self._ledger is None:
            ledger = self._connect()
            ledger.open_holder(self._holder)
            self._ledger = ledger
            self._beat.start()
        return self._ledger

    def stop_beating(self) -> None:
        """The run is about to end; it waits at most one second for a beat that is under way."""
        self._over.set()
        if self._beat.is_alive():
            self._beat.join(_STOP_SECONDS)

    def close(self) -> None:
        """Note that the run ended, which releases its locks.

        If a tool of it still runs and it holds a lock, the entry stays open. Other runs take the lock over once the
        process and its tools are gone.
        """
        if self._ledger is None:
            return
        try:
            if self._leaves_a_writer(self._ledger):
                _LOGGER.warning("a tool of this run is still running: its environment stays locked until it ends")
            else:
                self._ledger.close_holder(self._holder.id, datetime.now(UTC))
        except HoldtrueError as error:
            _LOGGER.warning("could not record the end of this run in the ledger: %s", error)
        self._ledger = None

    def _leaves_a_writer(self, ledger: Ledger) -> bool:
        if observe(self._holder.process).tools is Liveness.DEAD:
            return False
        return any(lock.holder is not None and lock.holder.id == self._holder.id for lock in ledger.locks.all())

    def _keep_beating(self) -> None:
        """In a thread of its own, because a run whose renewals hang is still alive."""
        while not self._over.wait(BEAT_SECONDS):
            try:
                if self._ledger is not None:
                    self._ledger.beat(self._holder.id)
            except Exception as error:  # noqa: BLE001 - the next one may get through
                why = error if isinstance(error, HoldtrueError) else type(error).__name__
                _LOGGER.warning("could not write this run's heartbeat to the ledger: %s", why)
