"""The process that started this one: how to find it, and how to notice that it has exited."""

import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from holdtrue.models.lease import Liveness, ProcessIdentity
from holdtrue.runtime.liveness import identify, liveness, parent_of
from holdtrue.runtime.starting_environment import starting_environment

_LOOK_SECONDS: Final = 0.5
_DYING_SECONDS: Final = 1.0
"""How long to wait for the end of a killed process, which closes its pipes a moment earlier."""
_OUTPUTS: Final = (1, 2)


def find_starter(variable: str, value: str) -> ProcessIdentity | None:
    """The nearest ancestor that was not itself started with `variable` set to `value`: the one that has set it.

    None if no such ancestor is visible, as in a container where every process has the variable. If the environment of
    an ancestor cannot be read, that ancestor is returned.
    """
    wanted = f"{variable}={value}".encode()
    pid = os.getppid()
    while pid:
        try:
            if wanted not in starting_environment(pid):
                return identify(pid)
        except PermissionError:
            return identify(pid)
        except (FileNotFoundError, ProcessLookupError):
            pid = os.getppid()  # It has just exited, and this process has another parent.
            continue
        pid = parent_of(pid)
    return None


class StarterWatch:
    """Watches one process from a thread, and calls `on_lost` once when it has exited."""

    def __init__(self, starter: ProcessIdentity, on_lost: Callable[[], None]) -> None:
        self.starter = starter
        self._on_lost = on_lost
        self._deciding = threading.Lock()
        self._is_over = False
        self._has_gone = False

    def has_gone(self) -> bool:
        """Whether it has exited. Waits a moment if our output has no reader, because then it is about to exit."""
        deadline = time.monotonic() + (_DYING_SECONDS if _mute_broken_outputs(0) else 0.0)
        while not self._look() and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS / 10)
        return self._has_gone

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watch while the block runs; `on_lost` is not called after it.

        If our output already has no reader, the process that started this one exited while this one was starting. The
        ancestor that was found is then the one that adopted it.
        """
        self._has_gone = _mute_broken_outputs(0)
        threading.Thread(target=self._watch, name="starter-watch", daemon=True).start()
        try:
            yield
        finally:
            with self._deciding:
                self._is_over = True

    def _watch(self) -> None:
        while not self._is_over:
            _mute_broken_outputs(_LOOK_SECONDS)
            with self._deciding:
                if self._is_over:
                    return
                if self._look():
                    self._on_lost()
                    return

    def _look(self) -> bool:
        if not self._has_gone and liveness(self.starter) is Liveness.DEAD:
            self._has_gone = True
            # Its pipes are closed by now: what is written while the run shuts down has no reader.
            _mute_broken_outputs(0)
        return self._has_gone


def _mute_broken_outputs(wait_seconds: float) -> bool:
    """Redirect outputs whose reader is gone to /dev/null, and return whether there was any.

    Waits up to `wait_seconds` for one.

    A write to a pipe without a reader ends Python programs: rich raises SystemExit (Console.on_broken_pipe), which
    Prefect's console handler uses.
    """
    outputs = select.poll()
    for descriptor in _OUTPUTS:
        outputs.register(descriptor, 0)  # POLLERR is always reported.
    broken = [descriptor for descriptor, event in outputs.poll(wait_seconds * 1000) if event & select.POLLERR]
    for descriptor in broken:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, descriptor)
        finally:
            os.close(nowhere)
    return bool(broken)
