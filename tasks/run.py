"""What every flow run has in common: telemetry, the journal, its name, its report, and the state it ends in."""

import json
import logging
import math
from asyncio import CancelledError
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import Any, Final, Generic, ParamSpec, TypeVar

from prefect import runtime
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.events import emit_event
from prefect.exceptions import TerminationSignal
from prefect.states import Cancelled, Completed, Failed
from prefect.telemetry.run_telemetry import LABELS_TRACEPARENT_KEY, TRACEPARENT_KEY

from holdtrue.core.excerpt import excerpt
from holdtrue.core.neutral import for_markdown, for_terminal, json_text, several_lines
from holdtrue.core.render import report_page
from holdtrue.core.run_subject import RunSubject
from holdtrue.credentials.scope import RunLabel, credential_scope
from holdtrue.errors import BlockMissing, HoldtrueError, ManifestError, SettingInvalid, TransientError, UnavailableError
from holdtrue.models.base import Progress, ProgressLevel
from holdtrue.models.outcome import FlowReport, RunOutcome
from holdtrue.runtime.redaction import redact_data, redact_text
from holdtrue.runtime.scrubbing import scrubbed
from holdtrue.runtime.tracing import continued_span, flush_tracing, start_tracing, trace_carrier
from holdtrue.settings import load_settings
from tasks.journal import Journal, log_defect, open_journal, watch
from tasks.redaction import redacted_run
from tasks.reports import keep_report, save_report
from tasks.run_log import end_log_with
from tasks.worker import Worker, is_being_cancelled, is_own_run, watched_worker

P = ParamSpec("P")
Report = TypeVar("Report", bound=FlowReport)

_MESSAGE_LIMIT: Final = 2_000
_CLOCK_SECONDS: Final = 0.5
"""The journal starts up to this long after Prefect's timer."""

_BAD_INPUT: Final = (ManifestError, BlockMissing, SettingInvalid)
_LOGGER: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How a report ends its run."""

    state_name: str
    is_good: bool
    """Whether everything was looked at and is good; all else ends `Failed`."""
    line: str
    """One line of outcome; the state's message begins with it."""
    sections: str
    """Markdown for a person."""
    next_step: str = ""
    """What to do next; empty when nothing has to be done."""
    document: str = ""
    """JSON for the run's report folder; the report's own fields when empty."""


@dataclass(frozen=True, slots=True)
class FlowEnding(Generic[Report]):
    """How the runs of one flow end."""

    conclude: Callable[[Report], Conclusion]
    broken: Callable[[HoldtrueError, Journal, Mapping[str, Any]], Report]
    """The report of a run that an error has ended: with all that was done before, and the run's arguments."""
    error_state: str | None = None
    """State name for errors of a flow that only looks; without it, the error's own. Bad input is always `Rejected`."""


def as_run(
    ending: FlowEnding[Report], *, expected_stages: int = 0
) -> Callable[[Callable[P, Report]], Callable[P, Report]]:
    """Turn a body that returns a report, or raises our errors, into a flow body that ends in a named state.

    The state has no data: `tasks.reports.load_report` gives the report, here and on any other machine.
    """

    def decorate(body: Callable[P, Report]) -> Callable[P, Report]:
        kind = body.__name__
        parameters = signature(body)

        @wraps(body)
        def run(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
            start_tracing()
            given = parameters.bind(*args, **kwargs)
            given.apply_defaults()
            this = _Run(kind, ending, given.arguments)
            try:
                with open_journal(expected_stages) as journal, watched_worker() as worker:
                    try:
                        with (
                            credential_scope(RunLabel(str(runtime.flow_run.id), str(runtime.flow_run.name), kind)),
                            continued_span(f"flow {kind}", _carrier()) as current,
                        ):
                            _pass_on_trace()
                            state = this.finish(journal, lambda: body(*args, **kwargs))
                            current.set_attribute("holdtrue.state", state.name or "")
                            return state
                    except CancelledError as signal:  # Prefect ends a run, or its parent, so on timeout.
                        if _has_run_out_of_time(journal):
                            return this.timed_out(journal)
                        this.interrupted(journal, signal, worker)
                        raise
                    except (TerminationSignal, KeyboardInterrupt, SystemExit) as signal:
                        if worker.has_gone() and is_own_run():
                            return this.lost_worker(journal, worker)
                        this.interrupted(journal, signal, worker)
                        raise
            finally:
                flush_tracing()

        clean: Callable[P, State[Any]] = redacted_run(run)
        # Prefect takes the state that a flow's function returns for the state of its run.
        return clean  # type: ignore[return-value]

    return decorate


class _Run(Generic[Report]):
    """One run on its way to its end."""

    def __init__(self, kind: str, ending: FlowEnding[Report], arguments: Mapping[str, Any]) -> None:
        self._kind = kind
        self._ending = ending
        self._arguments = arguments
        self._subject = RunSubject.of(arguments)

    def finish(self, journal: Journal, body: Callable[[], Report]) -> State[Any]:
        """Carry out the body and return the state in which the run ends."""
        try:
            load_settings()
            report = body()
        except HoldtrueError as error:
            # Errors of our tree are cleaned in place, and before anything is cut: a truncated secret cannot be found.
            scrubbed(error)
            return self._fail(journal, error, self._state_of(error))
        except Exception as error:  # noqa: BLE001 - a defect: its traceback is logged, and the run ends like any other
            log_defect(error, f"the flow {self._kind}")
            return self._fail(journal, _unexpected(scrubbed(error)), HoldtrueError.state_name)
        conclusion = self._ending.conclude(report)
        # The line contains text of others, so it is redacted before it is cut.
        outcome = RunOutcome(
            state=conclusion.state_name,
            is_good=conclusion.is_good,
            line=for_terminal(redact_text(conclusion.line), _MESSAGE_LIMIT),
            next_step=conclusion.next_step,
            stages=tuple(journal.stages),
        )
        self._publish(report, outcome, conclusion)
        advice = f". Next: {outcome.next_step}" if outcome.next_step else ""
        return self._end(outcome, f"{outcome.line}{advice}")

    def timed_out(self, journal: Journal) -> State[Any]:
        """Leave a report of a run that has used up the time of its flow, and return its state."""
        error = HoldtrueError(
            f"the run exceeded its limit of {_time_limit_seconds():g} s",
            next_step="find the slow stage in the table of stages, or run fewer environments at once",
        )
        return self._fail(journal, error, "TimedOut")

    def lost_worker(self, journal: Journal, worker: Worker) -> State[Any]:
        """Leave a report of a run whose worker went away, and return its state: what the worker would have said."""
        error = worker.loss()
        watch(Progress(message=f"Interrupted: {error}", level=ProgressLevel.ERROR))
        if not is_being_cancelled():
            return self._fail(journal, error, "WorkerLost")
        return Cancelled(message=self._fail(journal, error, "Cancelled").message)

    def interrupted(self, journal: Journal, signal: BaseException, worker: Worker) -> None:
        """Leave a report of a run that is being ended from outside; whatever goes wrong with it, the run ends."""
        outside = HoldtrueError(
            f"the run was ended from outside ({type(signal).__name__})",
            next_step="run it again; the stages say how far it came",
        )
        error = worker.loss() if worker.has_gone() else outside
        watch(Progress(message=f"Interrupted: {error}", level=ProgressLevel.ERROR))
        try:
            self._fail(journal, error, "Interrupted")
        except Exception as problem:  # noqa: BLE001 - the signal is what counts
            _LOGGER.warning("no report of this interrupted run could be kept (%s)", type(problem).__name__)

    def _state_of(self, error: HoldtrueError) -> str:
        if self._ending.error_state is None or isinstance(error, _BAD_INPUT):
            return error.state_name
        return self._ending.error_state

    def _fail(self, journal: Journal, error: HoldtrueError, state_name: str) -> State[Any]:
        error.next_step = error.next_step or _general_advice(error)
        report = self._ending.broken(error, journal, self._arguments)
        outcome = RunOutcome(
            state=state_name,
            is_good=False,
            line=several_lines(error.what),
            where=for_terminal(error.where, _MESSAGE_LIMIT),
            next_step=for_terminal(error.next_step, _MESSAGE_LIMIT),
            stages=tuple(journal.stages),
        )
        self._publish(report, outcome, self._ending.conclude(report))
        return self._end(outcome, _message(error))

    def _publish(self, report: Report, outcome: RunOutcome, conclusion: Conclusion) -> None:
        """The report as a file, as data and as a page, and the event that automations listen to."""
        ended = report.model_copy(update={"outcome": outcome})
        kept = json.loads(conclusion.document) if conclusion.document else ended.model_dump(mode="json")
        path = save_report(f"{self._kind}.json", json_text(redact_data(kept)))
        keep_report(self._kind, ended, key=self._subject.key(f"{self._kind}-data"), path=path)
        create_markdown_artifact(
            markdown=redact_text(report_page(self._subject.run_name(self._kind), outcome, conclusion.sections)),
            key=self._subject.key(f"{self._kind}-report"),
            description=for_markdown(outcome.line, 200),
        )
        emit_event(
            event=f"holdtrue.{self._kind}.{outcome.state}",
            resource={"prefect.resource.id": f"holdtrue.{self._kind}", "prefect.resource.name": self._kind},
            related=[
                {"prefect.resource.id": f"prefect.flow-run.{runtime.flow_run.id}", "prefect.resource.role": "run"}
            ],
            payload={"state": outcome.state, "outcome": outcome.line},
        )

    def _end(self, outcome: RunOutcome, message: str) -> State[Any]:
        end_log_with(
            str(runtime.flow_run.id),
            outcome.state,
            f"{outcome.state}: {message}",
            logging.INFO if outcome.is_good else logging.ERROR,
        )
        return (Completed if outcome.is_good else Failed)(name=outcome.state, message=message)


def _general_advice(error: HoldtrueError) -> str:
    match error:
        case TransientError():
            return "run again when the service answers"
        case UnavailableError():
            return "provide what is missing, then run again"
        case _:
            return "fix the problem above, then run again"


def _time_limit_seconds() -> float:
    context = FlowRunContext.get()
    limit = context.flow.timeout_seconds if context is not None and context.flow is not None else None
    return math.inf if limit is None else limit


def _has_run_out_of_time(journal: Journal) -> bool:
    return journal.duration_seconds >= _time_limit_seconds() - _CLOCK_SECONDS


def _unexpected(error: BaseException) -> HoldtrueError:
    return HoldtrueError(
        f"unexpected {type(error).__name__}: {error}",
        next_step="report this as a bug, with the traceback from the run's log",
    )


def _message(error: HoldtrueError) -> str:
    """The error's text, safe to print; a long one loses the middle of what happened, never where and what to do."""
    excess = len(str(error)) - _MESSAGE_LIMIT
    if excess > 0:
        what = excerpt(error.what, len(error.what) - excess)
        error = type(error)(what, where=error.where, next_step=error.next_step)
    return several_lines(str(error)[:_MESSAGE_LIMIT], _MESSAGE_LIMIT)


def _carrier() -> dict[str, str]:
    """The W3C context of whoever started this run: `run_deployment` puts it into the run's labels."""
    context = FlowRunContext.get()
    labels = context.flow_run.labels if context is not None and context.flow_run is not None else {}
    traceparent = labels.get(LABELS_TRACEPARENT_KEY)
    return {TRACEPARENT_KEY: str(traceparent)} if traceparent else {}


def _pass_on_trace() -> None:
    """Make Prefect's own task spans and child runs continue from our span; they read the run's label."""
    context = FlowRunContext.get()
    carrier = trace_carrier()
    if context is not None and context.flow_run is not None and TRACEPARENT_KEY in carrier:
        context.flow_run.labels[LABELS_TRACEPARENT_KEY] = carrier[TRACEPARENT_KEY]
