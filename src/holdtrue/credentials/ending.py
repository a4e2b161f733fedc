"""Ends what a run holds: first revokes all of it, then records the result in the ledger."""

import logging
from typing import Final

from holdtrue.credentials.holding import Holding
from holdtrue.errors import HoldtrueError, TransientError
from holdtrue.models.lease import LeaseState

_LOGGER: Final = logging.getLogger(__name__)


class Ending:
    """Revokes one lease after the other, and writes to the ledger only when nothing is left to revoke.

    So a ledger that cannot be reached delays no revocation. A server, or the ledger, that does not answer is asked only
    once; the sweep ends what remains. A signal that arrives in between is raised by `settle`, when all is done.
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
        """Write the result of every release to the ledger, then raise a signal that arrived in between."""
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
    end = until.isoformat(timespec="seconds") if until else "a time that is not known"
    what = f"{holding.lease.reference}, issued by {holding.lease.path}"
    if holding.is_past_its_end:
        _LOGGER.warning("did not revoke %s, which expired at %s: %s", what, end, error)
    else:
        _LOGGER.warning(
            "could not revoke %s; it may still be valid and expires at %s; the sweep will try again: %s",
            what,
            end,
            error,
        )


def _warn_of_what_the_ledger_missed(holding: Holding, state: LeaseState, others: int, error: HoldtrueError) -> None:
    _LOGGER.warning(
        "could not record in the ledger that %s, issued by %s, is %s%s; the next sweep will do it: %s",
        holding.lease.reference,
        holding.lease.path,
        "left to expire" if state is LeaseState.LEFT else state,
        f", nor of {others} more" if others else "",
        error,
    )
