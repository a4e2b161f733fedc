"""Ends what a run holds, and notes for the ledger what became of it."""

import logging
from typing import Final

from holdtrue.credentials.holding import Holding
from holdtrue.errors import HoldtrueError, TransientError

_LOGGER: Final = logging.getLogger(__name__)


class Ending:
    """Revokes one lease after the other. No revocation waits for the ledger.

    A server that does not answer is asked only once; the sweep ends what remains. A signal that arrives in between is
    raised by `finish`, when all is done.
    """

    def __init__(self) -> None:
        self._silent: set[str] = set()
        self._interruption: BaseException | None = None

    def release(self, holding: Holding) -> None:
        """Revoke it, unless its server has not answered before."""
        if holding.end is not None and holding.lease.server in self._silent:
            return
        try:
            holding.release()
        except HoldtrueError as error:
            _warn_of_what_may_live(holding, error)
            if isinstance(error, TransientError):
                self._silent.add(holding.lease.server)
        except BaseException as error:  # noqa: BLE001 - a signal must not leave the rest alive; `finish` raises it
            self._interruption = error

    def finish(self) -> None:
        """Raise a signal that arrived in between."""
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
