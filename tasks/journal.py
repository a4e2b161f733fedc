"""What a run has done so far: its stages, their results and spans, and the lines and progress bar for a person."""

import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from traceback import walk_tb
from typing import Any, Final, ParamSpec, TypeVar
from uuid import UUID

from prefect import task_engine
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext
from prefect.exceptions import MissingContextError
from prefect.logging import get_logger, get_run_logger

from holdtrue.core.neutral import for_terminal
from holdtrue.errors import HoldtrueError, done_before
from holdtrue.models.base import Progress, ProgressLevel
from holdtrue.models.environment import Environment
from holdtrue.models.outcome import StageOutcome, StageRecord
from holdtrue.runtime.tracing import span
from tasks.redaction import redacted
from tasks.run_log import task_failed

P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V")

_HEADING_LIMIT: Final = 200
_UPDATE_INTERVAL_SECONDS: Final = 2.0
"""Each update of the bar is an API call of some 10 ms; a person needs no more than this."""


@dataclass(slots=True)
class Journal:
    """One run's record. `expected_stages` scales the progress bar; 0 means the run has none.

    Attributes:
        stages: Every stage that ended, in order; one that was retried appears once per attempt.
        results: What each stage returned, by its name; what a failed one had done before it failed; and
            other data for the report of a failed run.
        started_at: When the run began.
    """

    expected_stages: int = 0
    stages: list[StageRecord] = field(default_factory=list)
    results: dict[str, object] = field(default_factory=dict)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _clock: float = field(default_factory=time.monotonic)
    _bar: UUID | None = None
    _bar_updated: float = 0.0

    @property
    def duration_seconds(self) -> float:
        """How long the run has taken so far."""
        return round(time.monotonic() - self._clock, 3)

    def result(self, stage: str, kind: type[V]) -> V | None:
        """What a stage returned, or had done when it failed; None when it did nothing or was not reached."""
        found = self.results.get(stage)
        return found if isinstance(found, kind) else None

    def results_of(self, kind: type[V]) -> tuple[V, ...]:
        """Every result of this kind, in order."""
        return tuple(found for found in self.results.values() if isinstance(found, kind))

    def advance(self, within_stage: float = 0.0) -> None:
        """Move the progress bar; `within_stage` is the finished part (0 to 1) of the stage under way."""
        if not self.expected_stages:
            return
        percent = min(100.0, 100.0 * (len(self.stages) + within_stage) / self.expected_stages)
        now = time.monotonic()
        if self._bar is None:
            bar = create_progress_artifact(progress=percent, description="Stages of this run")
            self._bar = bar if isinstance(bar, UUID) else None
        elif within_stage == 0.0 or now - self._bar_updated >= _UPDATE_INTERVAL_SECONDS:
            update_progress_artifact(artifact_id=self._bar, progress=percent)
        else:
            return
        self._bar_updated = now


_journal: ContextVar[Journal | None] = ContextVar("holdtrue_journal", default=None)


@contextmanager
def open_journal(expected_stages: int) -> Iterator[Journal]:
    """The journal that stages inside this block are written to."""
    journal = Journal(expected_stages)
    token = _journal.set(journal)
    try:
        yield journal
    finally:
        _journal.reset(token)


def current_journal() -> Journal:
    """The journal of this run; an empty one outside of any."""
    return _journal.get() or Journal()


def staged(body: Callable[P, R]) -> Callable[P, R]:
    """Make a task's body one stage: a heading in the log, a span, a line and result in the journal, a step of the bar.

    Heading and line name the environment that the body's parameter `environment` holds. Registered secrets
    are removed from an error before it leaves the stage, so that Prefect's state, log and events of the task have none.
    """
    name = body.__name__.replace("_", " ")
    clean = redacted(body)
    signature = inspect.signature(body)

    @wraps(body)
    def run_stage(*args: P.args, **kwargs: P.kwargs) -> R:
        journal = current_journal()
        environment = _environment_of(signature.bind(*args, **kwargs).arguments)
        watch(Progress(message=_heading(name, environment)))
        started = time.monotonic()
        outcome, summary = StageOutcome.CANCELLED, ""
        try:
            with span(f"stage {name}"):
                result = clean(*args, **kwargs)
        except BaseException as error:
            journal.results[name] = done_before(error)
            if isinstance(error, Exception):
                outcome, summary = StageOutcome.FAILED, type(error).__name__
            if isinstance(error, HoldtrueError):
                summary = str(error)
                _expect_failure_in_log()
            raise
        else:
            outcome = StageOutcome.DONE
            journal.results[name] = result
            return result
        finally:
            duration = time.monotonic() - started
            journal.stages.append(
                StageRecord(
                    name=name,
                    environment=environment,
                    outcome=outcome,
                    summary=summary,
                    duration_seconds=round(duration, 3),
                )
            )
            if outcome is not StageOutcome.CANCELLED:
                journal.advance()

    return run_stage


def _heading(stage: str, environment: str) -> str:
    """One line, whatever the run was given as the environment's name."""
    return for_terminal(f"=== {stage} | {environment} ===" if environment else f"=== {stage} ===", _HEADING_LIMIT)


def _environment_of(arguments: Mapping[str, Any]) -> str:
    match arguments.get("environment"):
        case Environment() as environment:
            return environment.name
        case str() as name:
            return name
        case _:
            return ""


def _expect_failure_in_log() -> None:
    context = TaskRunContext.get()
    if context is not None:
        task_failed(str(context.task_run.id))


def log_defect(error: Exception, what: str) -> None:
    """Put the traceback of an error that nobody foresaw into the run's log, unless a task's log has it already."""
    if any(frame.f_code.co_filename == task_engine.__file__ for frame, _ in walk_tb(error.__traceback__)):
        return
    _run_logger().error("%s raised an unexpected exception", what, exc_info=error)


def _run_logger() -> Any:
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("holdtrue")


def watch(progress: Progress) -> None:
    """The progress sink of every adapter: one log line now, and the bar where the tool counts."""
    logger = _run_logger()
    match progress.level:
        case ProgressLevel.INFO:
            logger.info("%s", progress.message)
        case ProgressLevel.WARNING:
            logger.warning("%s", progress.message)
        case ProgressLevel.ERROR:
            logger.error("%s", progress.message)
    journal = _journal.get()
    if journal is not None and progress.done is not None and progress.total:
        journal.advance(within_stage=min(0.99, max(0.01, progress.done / progress.total)))
