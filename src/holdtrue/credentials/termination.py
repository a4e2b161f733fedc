"""SIGTERM ends what a process holds before it ends the process, whatever handles the signal. SIGHUP does the same.

SIGQUIT keeps its default, for processes that hang: it ends them on the spot and leaves what they held to the sweep.
"""

import logging
import os
import signal
import sys
import threading
from functools import cache
from typing import Final, Protocol

_LOGGER: Final = logging.getLogger(__name__)

_TERMINATION_SECONDS: Final = 15.0
"""How long a process that got SIGTERM has for its scopes; who sends it usually waits 30 s before SIGKILL."""


class Closable(Protocol):
    """What holds something, or may come to."""

    @property
    def is_ended_by_this_thread(self) -> bool:
        """True while, and after, this thread ends what is held."""

    def close(self) -> None:
        """End what is held; called again, wait until it is ended."""


_open: Final[list[Closable]] = []
"""Appended to and removed from in one step each, whatever interrupts."""
_terminating: Final[set[int]] = set()
"""Processes that got the signal: a child that is forked meanwhile did not."""
_ended: Final = threading.Event()


def enlist(scope: Closable) -> None:
    """Close it when this process is terminated."""
    _open.append(scope)
    _take_hangup_over()
    _watch_own_end()


def dismiss(scope: Closable) -> None:
    """It is closed."""
    _open.remove(scope)


def _on_termination(number: int, _frame: object) -> None:
    """End what this process holds, and then the process, as the signal would have done by itself.

    When this interrupts the end of a scope, that goes on first. A further signal meanwhile changes nothing.
    """
    if os.getpid() not in _terminating:
        ending = _start_ending(number)
        if any(scope.is_ended_by_this_thread for scope in tuple(_open)):
            return
        ending.join(_TERMINATION_SECONDS)
    elif not _ended.is_set():
        return
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # The first process of a container outlives the signal's default.


def _on_hangup(_number: int, _frame: object) -> None:
    """End this process as SIGTERM does: by Prefect's handler while a flow runs, by ours or a user's otherwise."""
    os.kill(os.getpid(), signal.SIGTERM)


def _before_own_end(event: str, arguments: tuple[object, ...]) -> None:
    """End what this process holds before it ends itself by SIGTERM's default, of which no handler hears."""
    if event != "os.kill" or arguments != (os.getpid(), signal.SIGTERM) or os.getpid() in _terminating:
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        _start_ending(None).join(_TERMINATION_SECONDS)


def _start_ending(number: int | None) -> threading.Thread:
    """Close every scope in a thread of its own: what is interrupted here may hold a lock that the end waits for."""
    _terminating.add(os.getpid())
    ending = threading.Thread(target=_end_all, args=(number,), name="holdtrue-termination", daemon=True)
    ending.start()
    return ending


def _end_all(number: int | None) -> None:
    """Close every scope, and send the signal again: only the main thread can give it its default."""
    for scope in reversed(tuple(_open)):
        try:
            scope.close()
        except Exception as error:  # noqa: BLE001 - the others are to be closed, too
            _LOGGER.warning("not all that this run held could be ended (%s)", type(error).__name__)
    _ended.set()
    if number is not None:
        os.kill(os.getpid(), number)


def _take_termination_over() -> None:
    """Handle SIGTERM instead of its default, which ends the process on the spot; a handler that is there stays.

    At import, because what is obtained may be obtained in other threads only.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_termination)


def _take_hangup_over() -> None:
    """Handle SIGHUP. Its default would end the process on the spot.

    An existing handler stays, and an ignored SIGHUP stays ignored: `nohup` starts a process that outlives its terminal.
    Only the main thread can do this, so it is tried at import and for each scope.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _on_hangup)


@cache
def _watch_own_end() -> None:
    """Hear of the end that Prefect makes of a process whose flow got SIGTERM.

    Its own handler unwinds the flow, gives the signal back to whoever had it before, and sends it again
    (`capture_sigterm` in prefect/utilities/engine). A worker's run imports this module in another thread than the main
    one, or the flow does so itself: then that is the default, and no `finally` and no `atexit` comes after it.
    """
    if signal.getsignal(signal.SIGTERM) is not _on_termination:
        sys.addaudithook(_before_own_end)


_take_termination_over()
_take_hangup_over()
