"""The last lines of a run's log: the outcome and what to do next, once, at the level that it has.

Prefect 3.9 says "Finished in state ..." at level INFO whatever the state is, with the message as a Python string, and
follows each failed run with a traceback of how it raised FailedRun for itself (flow_engine.py). A task that raises
one of our errors gets a traceback and the text again (task_engine.py). There is no setting for either, so filters of
the loggers rewrite these records. A record that reads differently in another version of Prefect passes unchanged.
"""

import logging
from typing import Final

from prefect.exceptions import FailedRun

from holdtrue.errors import HoldtrueError

_FINISHED: Final = "Finished in state "
_EXITED: Final = "Engine execution exited"


class RunLogFilter(logging.Filter):
    """Replaces Prefect's last record of a run with our outcome, and drops the traceback that follows it."""

    def __init__(self) -> None:
        super().__init__()
        self._outcomes: dict[str, tuple[str, str, int]] = {}
        self._finished: set[str] = set()

    def expect(self, flow_run_id: str, state_name: str, text: str, level: int) -> None:
        """The run is about to end in this state; `text` is what its log ends with."""
        self._outcomes[flow_run_id] = (state_name, text, level)

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the last record of a run whose outcome is known, and drop the traceback of its FailedRun."""
        flow_run_id = str(getattr(record, "flow_run_id", ""))
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HoldtrueError):  # Raised outside of `as_run`, by the check of the run's parameters.
            if flow_run_id in self._finished:
                return False
            self.expect(flow_run_id, error.state_name, f"{error.state_name}: {error}", logging.ERROR)
            if not record.getMessage().startswith(_EXITED):
                return False
            # A run that ends before its first line has only this record.
            record.exc_info = None
            self._end(flow_run_id, record)
            return True
        if flow_run_id in self._finished:
            return not isinstance(error, FailedRun)
        state_name, _, _ = self._outcomes.get(flow_run_id, ("", "", 0))
        if state_name and record.getMessage().startswith(f"{_FINISHED}{state_name}("):
            self._end(flow_run_id, record)
        return True

    def _end(self, flow_run_id: str, record: logging.LogRecord) -> None:
        _, text, level = self._outcomes.pop(flow_run_id)
        self._finished.add(flow_run_id)
        record.msg, record.args = text, None
        record.levelno, record.levelname = level, logging.getLevelName(level)


def _is_not_repeated(record: logging.LogRecord) -> bool:
    """False for what the engine prints on the worker's console before a run begins: the run's log has the same line."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    return not any(isinstance(item, HoldtrueError) for item in arguments)


def _tells_no_values(record: logging.LogRecord) -> bool:
    """Prefect logs all parameters of a run, with their values, when one has the wrong type (flows.py)."""
    return not record.getMessage().startswith("Parameter validation failed for flow")


class TaskLogFilter(logging.Filter):
    """Says that a task failed, and leaves to the end of the run's log what our error says."""

    def __init__(self) -> None:
        super().__init__()
        self._failed: set[str] = set()

    def expect(self, task_run_id: str) -> None:
        """The task run has raised an error of our tree."""
        self._failed.add(task_run_id)

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop the traceback of an error of our tree, and the repetition of its text."""
        if record.exc_info and isinstance(record.exc_info[1], HoldtrueError):
            return False
        task_run_id = str(getattr(record, "task_run_id", ""))
        if task_run_id in self._failed and record.getMessage().startswith(_FINISHED):
            self._failed.discard(task_run_id)
            if record.levelno >= logging.ERROR:  # Lower when a retry has succeeded.
                record.msg, record.args = f"The stage '{getattr(record, 'task_name', '')}' failed", None
        return True


_RUNS: Final = RunLogFilter()
_TASKS: Final = TaskLogFilter()


def end_log_with(flow_run_id: str, state_name: str, text: str, level: int) -> None:
    """Let the log of this run end with this text in place of Prefect's own last lines."""
    _RUNS.expect(flow_run_id, state_name, text, level)


def task_failed(task_run_id: str) -> None:
    """Let the log of this task run say that it failed, and nothing else: the end of the flow run's log says why."""
    _TASKS.expect(task_run_id)


def filter_run_logs() -> None:
    """Put the filters into Prefect's loggers; calling it again has no effect."""
    logging.getLogger("prefect.flow_runs").addFilter(_RUNS)
    logging.getLogger("prefect.task_runs").addFilter(_TASKS)
    logging.getLogger("prefect.flows").addFilter(_tells_no_values)
    logging.getLogger("prefect.engine").addFilter(_is_not_repeated)
