"""The end of what a run holds: revoked first, all of it, and then settled in the ledger."""

import logging
from typing import Final

from holdtrue.credentials.holding import Holding
from holdtrue.errors import HoldtrueError, TransientError
from holdtrue.models.lease import LeaseState

_LOGGER: Final = logging.getLogger(__name__)


class Ending:
    """Revokes one lease after the other, and tells the ledger when nothing is left to revoke.

    So a ledger that is away delays no revocation. A server that does not answer is asked once, and so is the ledger;
    what remains is left to the sweep. A signal that comes meanwhile is raised by `settle`, when all is done.
    """

    def __init__(self) -> None:
        self._silent: set[str] = set()
        self._over: list[tuple[Holding, LeaseState]] = []
        self._interruption: BaseException | None = None

    def release(self, holding: Holding) -> None:
        """Revoke it, unless its server has not answered before."""
        if holding.end is not None and holding.lease.server in self._silent:
            return
        try:
            self._over.append((holding, holding.release()))
        except HoldtrueError as error:
            _warn_of_what_may_live(holding, error)
            if isinstance(error, TransientError):
                self._silent.add(holding.lease.server)
        except BaseException as error:  # noqa: BLE001 - a signal must not leave the rest alive; `settle` raises it
            self._interruption = error

    def settle(self) -> None:
        """Tell the ledger what became of all that was released. Raises the signal that came meanwhile."""
        is_away = False
        while self._over and not is_away:
            holding, state = self._over.pop(0)
            try:
                holding.settle(state)
            except HoldtrueError as error:
                is_away = isinstance(error, TransientError)
                _warn_of_what_the_ledger_missed(holding, state, len(self._over) if is_away else 0, error)
            except BaseException as error:  # noqa: BLE001 - as above
                self._interruption = error
        self._over.clear()
        interruption, self._interruption = self._interruption, None
        if interruption is not None:
            raise interruption


def _warn_of_what_may_live(holding: Holding, error: HoldtrueError) -> None:
    until = holding.lease.expires_at
    _LOGGER.warning(
        "could not revoke %s, which %s issued; the sweep tries again, and its own end %s %s: %s",
        holding.lease.reference,
        holding.lease.path,
        "was" if holding.is_past_its_end else "is",
        until.isoformat(timespec="seconds") if until else "unknown",
        error,
    )


def _warn_of_what_the_ledger_missed(holding: Holding, state: LeaseState, others: int, error: HoldtrueError) -> None:
    _LOGGER.warning(
        "the ledger was not told that %s, which %s issued, is %s%s; the next sweep finds it out: %s",
        holding.lease.reference,
        holding.lease.path,
        "left to its own end" if state is LeaseState.LEFT else state,
        f", nor of {others} more" if others else "",
        error,
    )
