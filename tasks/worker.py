"""The worker that has started this process: when it goes away, the run is ended in order and says why.

Nobody else would: the process lives on without its worker, nobody reads what it writes, and a cancellation has nobody
to carry it out.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType

from holdtrue.errors import HoldtrueError
from holdtrue.runtime.starter import StarterWatch, find_starter

_RUN_VARIABLE: Final = "PREFECT__FLOW_RUN_ID"
"""Workers and runners start a run's process with it (prefect 3.9, runner/_starter_engine.py)."""

_watched: StarterWatch | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """The worker of this run; without a watch there is none that could go away."""

    watch: StarterWatch | None = None

    def has_gone(self) -> bool:
        """Whether it went away."""
        return self.watch is not None and self.watch.has_gone()

    def loss(self) -> HoldtrueError:
        """What a run says that has lost its worker."""
        starter = None if self.watch is None else self.watch.starter
        who = "" if starter is None else f" (process {starter.pid} on {starter.host})"
        return HoldtrueError(
            f"the worker that had started this run went away{who}, so the run was ended in order",
            next_step="find out why it ended and start one, then run again; the stages say how far this run came",
        )


@contextmanager
def watched_worker() -> Iterator[Worker]:
    """Watch the worker of this process while its run lasts, and end the run as SIGTERM does when it goes away.

    A run that was started by hand, or in a container of its own, has no such worker and goes on.
    """
    global _watched  # noqa: PLW0603 - one a process: a run within a run has the same worker
    if _watched is not None:
        yield Worker(_watched)
        return
    run_id = os.environ.get(_RUN_VARIABLE, "")
    starter = find_starter(_RUN_VARIABLE, run_id) if run_id else None
    if starter is None or threading.current_thread() is not threading.main_thread():
        yield Worker()
        return
    _watched = StarterWatch(starter, _terminate)
    try:
        with _watched.running():
            yield Worker(_watched)
    finally:
        _watched = None


def _terminate() -> None:
    """Prefect's handler raises TerminationSignal in the main thread, in which the run is."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def is_own_run() -> bool:
    """Whether this process was started for this run, and not for one around it."""
    return os.environ.get(_RUN_VARIABLE) == str(runtime.flow_run.id)


def is_being_cancelled() -> bool:
    """Whether somebody has asked to cancel this run, which only its worker would have carried out."""
    with suppress(Exception), get_client(sync_client=True) as client:  # Where nobody can tell, the run says what it is.
        return client.read_flow_run(UUID(str(runtime.flow_run.id))).state_type is StateType.CANCELLING
    return False
