"""The worker that started this process: when it exits, the run is shut down in order and reports why.

Prefect does not do that: the process goes on without its worker, its output has no reader, and a cancellation is not
carried out.
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
    """The worker of this run; without a watch the run has no worker that it could lose."""

    watch: StarterWatch | None = None

    def has_gone(self) -> bool:
        """Whether the worker has exited."""
        return self.watch is not None and self.watch.has_gone()

    def loss(self) -> HoldtrueError:
        """The error of a run that has lost its worker."""
        starter = None if self.watch is None else self.watch.starter
        who = "" if starter is None else f" (process {starter.pid} on {starter.host})"
        return HoldtrueError(
            f"the worker that started this run{who} has exited, so the run was shut down",
            next_step="find out why that worker stopped, start a worker, and run again; the report lists the completed"
            " stages",
        )


@contextmanager
def watched_worker() -> Iterator[Worker]:
    """Watch the worker of this process during the run, and end the run as SIGTERM does when the worker exits.

    A run that was started by hand, or that runs in its own container, has no worker it could watch, so it continues.
    """
    global _watched  # noqa: PLW0603 - one for each process: a run within a run has the same worker
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
    """Whether this process was started for this run, and not for a run that contains it."""
    return os.environ.get(_RUN_VARIABLE) == str(runtime.flow_run.id)


def is_being_cancelled() -> bool:
    """Whether this run is being cancelled, which its lost worker can no longer carry out."""
    with suppress(Exception), get_client(sync_client=True) as client:  # If Prefect cannot be asked, report WorkerLost.
        return client.read_flow_run(UUID(str(runtime.flow_run.id))).state_type is StateType.CANCELLING
    return False
