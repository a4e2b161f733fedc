"""What a run has done so far: its stages, their spans, and the lines and progress bar that a person watches."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import Final, ParamSpec, TypeVar
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import MissingContextError
from prefect.logging import get_logger, get_run_logger

from holdtrue.errors import HoldtrueError
from holdtrue.models.base import Progress, ProgressLevel
from holdtrue.models.report import StageOutcome, StageRecord
from holdtrue.runtime.tracing import span
from tasks.redaction import redacted

P = ParamSpec("P")
R = TypeVar("R")

_UPDATE_INTERVAL_SECONDS: Final = 2.0
"""Each update of the bar is an API call of some 10 ms; a person needs no more than this."""


@dataclass(slots=True)
class Journal:
    """One run's record. `expected_stages` scales the progress bar; 0 means the run has none."""

    expected_stages: int = 0
    stages: list[StageRecord] = field(default_factory=list)
    _bar: UUID | None = None
    _bar_updated: float = 0.0

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


def staged(body: Callable[P, R]) -> Callable[P, R]:
    """Make a task's body one stage: a span, a line in the journal, a step of the progress bar.

    An error leaves it without registered secrets, so that Prefect's state, log and events of the task have none either.
    """
    name = body.__name__.replace("_", " ")
    clean = redacted(body)

    @wraps(body)
    def run_stage(*args: P.args, **kwargs: P.kwargs) -> R:
        journal = _journal.get() or Journal()
        started = time.monotonic()
        outcome, summary = StageOutcome.CANCELLED, ""
        try:
            with span(f"stage {name}"):
                result = clean(*args, **kwargs)
        except Exception as error:
            outcome = StageOutcome.FAILED
            summary = str(error) if isinstance(error, HoldtrueError) else type(error).__name__
            raise
        else:
            outcome = StageOutcome.DONE
            return result
        finally:
            duration = time.monotonic() - started
            journal.stages.append(
                StageRecord(name=name, outcome=outcome, summary=summary, duration_seconds=round(duration, 3))
            )
            if outcome is not StageOutcome.CANCELLED:
                journal.advance()

    return run_stage


def watch(progress: Progress) -> None:
    """The progress sink of every adapter: one log line now, and the bar where the tool counts."""
    try:
        logger = get_run_logger()
    except MissingContextError:
        logger = get_logger("holdtrue")
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
