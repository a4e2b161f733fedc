"""What every flow run has in common: telemetry, the journal, the report artifact, and the state it ends in."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from prefect import runtime
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.events import emit_event
from prefect.states import Completed, Failed
from prefect.telemetry.run_telemetry import LABELS_TRACEPARENT_KEY, TRACEPARENT_KEY

from holdtrue.core.audit_output.text import for_markdown, for_terminal
from holdtrue.core.render import stages_table
from holdtrue.credentials.scope import RunLabel, credential_scope
from holdtrue.errors import BlockMissing, HoldtrueError, ManifestError
from holdtrue.models.base import Value
from holdtrue.runtime.redaction import redact_data, redact_text
from holdtrue.runtime.scrubbing import scrubbed
from holdtrue.runtime.tracing import continued_span, flush_tracing, start_tracing, trace_carrier
from holdtrue.settings import load_settings
from tasks.journal import Journal, open_journal
from tasks.redaction import redacted_run

P = ParamSpec("P")
Report = TypeVar("Report", bound=Value)

_MESSAGE_LIMIT: Final = 2_000


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How a report ends its run."""

    state_name: str
    line: str
    """One line of outcome; becomes the state's message."""
    sections: str
    """Markdown for a person."""
    could_not_look: bool = False
    """True ends the run `Failed`: an outcome that nobody checked is not a result."""
    document: str = ""
    """JSON that is kept of the report; its own fields when empty."""


def as_run(
    *, conclude: Callable[[Report], Conclusion], error_state: str | None = None, expected_stages: int = 0
) -> Callable[[Callable[P, Report]], Callable[P, Report]]:
    """Turn a body that returns a report, or raises our errors, into a flow body that ends in a named state.

    `error_state` is the state name for errors of flows that only look; without it the error's own name is used.
    Bad input (`ManifestError`, `BlockMissing`) is always `Rejected`.
    """

    def decorate(body: Callable[P, Report]) -> Callable[P, Report]:
        kind = body.__name__

        @wraps(body)
        def run(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
            start_tracing()
            try:
                with (
                    credential_scope(RunLabel(str(runtime.flow_run.id), str(runtime.flow_run.name), kind)),
                    open_journal(expected_stages) as journal,
                    continued_span(f"flow {kind}", _carrier()) as current,
                ):
                    _pass_on_trace()
                    state = _finish(kind, journal, body, args, kwargs, conclude, error_state)
                    current.set_attribute("holdtrue.state", state.name or "")
                    return state
            finally:
                flush_tracing()

        clean: Callable[P, State[Any]] = redacted_run(run)
        # Prefect unwraps the returned state: a caller of the flow gets the report, as the signature says.
        return clean  # type: ignore[return-value]

    return decorate


def _finish(
    kind: str,
    journal: Journal,
    body: Callable[..., Report],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    conclude: Callable[[Report], Conclusion],
    error_state: str | None,
) -> State[Any]:
    try:
        report = body(*args, **kwargs)
    except HoldtrueError as error:
        # Before anything is cut: half a secret is none that can be found. Errors of our tree are cleaned in place.
        scrubbed(error)
        name = error.state_name
        if error_state is not None and not isinstance(error, (ManifestError, BlockMissing)):
            name = error_state
        message = _message(error)
        lines = message.splitlines()
        _publish(kind, name, message, "\n".join(for_markdown(item, _MESSAGE_LIMIT) for item in lines) + "\n", journal)
        return Failed(name=name, message=message, data=error)
    conclusion = conclude(report)
    # Redacted before it is cut; and whatever it names, advisories too, was named by others.
    line = for_terminal(redact_text(conclusion.line), _MESSAGE_LIMIT)
    _publish(kind, conclusion.state_name, line, conclusion.sections, journal)
    kept = json.loads(conclusion.document) if conclusion.document else report.model_dump(mode="json")
    save_report(f"{kind}.json", json.dumps(redact_data(kept), indent=2, ensure_ascii=bool(conclusion.document)))
    end = Failed if conclusion.could_not_look else Completed
    return end(name=conclusion.state_name, message=line, data=report)


def _message(error: HoldtrueError) -> str:
    """The error's text, safe to print; a long one loses the end of what happened, never where and what to do next."""
    excess = len(str(error)) - _MESSAGE_LIMIT
    if excess > 0:
        error = type(error)(f"{error.what[: -excess - 1]}…", where=error.where, next_step=error.next_step)
    lines = str(error)[:_MESSAGE_LIMIT].splitlines()
    return "\n".join(for_terminal(line, _MESSAGE_LIMIT) for line in lines)


def _publish(kind: str, state_name: str, line: str, sections: str, journal: Journal) -> None:
    """The report artifact, and the event that automations listen to."""
    markdown = f"# {kind}: {state_name}\n\n{sections}\n## Stages\n\n{stages_table(journal.stages)}\n"
    create_markdown_artifact(markdown=redact_text(markdown), key=f"{kind}-report", description=for_markdown(line, 200))
    emit_event(
        event=f"holdtrue.{kind}.{state_name}",
        resource={"prefect.resource.id": f"holdtrue.{kind}", "prefect.resource.name": kind},
        related=[{"prefect.resource.id": f"prefect.flow-run.{runtime.flow_run.id}", "prefect.resource.role": "run"}],
        payload={"state": state_name, "outcome": line},
    )


def save_report(name: str, text: str) -> Path:
    """Write a text into a file of this run's report folder, without registered secrets, and return its path."""
    folder = load_settings().reports.expanduser() / str(runtime.flow_run.id)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(redact_text(text), encoding="utf-8")
    return path


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
