"""The child's messages so far, and the progress lines made from them as they arrive."""

from dataclasses import replace

from holdtrue.adapters.pulumi.changes import STACK_TYPE, is_bookkeeping, operation_of
from holdtrue.adapters.pulumi.failures import readable
from holdtrue.adapters.pulumi.messages import (
    Diagnostic,
    Failed,
    FailureSource,
    Finished,
    Inputs,
    Json,
    Recorded,
    Restarted,
    StackAbsent,
    State,
    Step,
    Unplanned,
    parse_message,
)
from holdtrue.core.redaction import Redactor
from holdtrue.models.base import Progress, ProgressLevel, ProgressSink
from holdtrue.models.stack import Operation
from holdtrue.runtime.redaction import redact_text

_SIGNS = {
    Operation.SAME: " ",
    Operation.CREATE: "+",
    Operation.UPDATE: "~",
    Operation.REPLACE: "±",
    Operation.DELETE: "-",
    Operation.READ: ">",
    Operation.REFRESH: ">",
}
_UNDER_WAY = {
    Operation.CREATE: "creating",
    Operation.UPDATE: "updating",
    Operation.REPLACE: "replacing",
    Operation.DELETE: "deleting",
    Operation.READ: "reading",
    Operation.REFRESH: "reading",
}
_DONE = {
    Operation.SAME: "unchanged",
    Operation.CREATE: "created",
    Operation.UPDATE: "updated",
    Operation.REPLACE: "replaced",
    Operation.DELETE: "deleted",
    Operation.READ: "read",
}
_LEVELS = {"warning": ProgressLevel.WARNING, "error": ProgressLevel.ERROR}


class Journal:
    """Collects the messages of one operation. `total` is the number of changes of an apply; None means a dry run."""

    def __init__(self, on_progress: ProgressSink, secrets: tuple[str, ...], total: int | None = None) -> None:
        self._on_progress = on_progress
        self._redactor = Redactor(secrets)
        self._total = total
        self._done: set[str] = set()
        self._planned: set[str] = set()
        self.steps: list[Step] = []
        self.diagnostics: list[Diagnostic] = []
        self.recorded: dict[str, Recorded] = {}
        self.cut_short: tuple[str, ...] = ()
        self.state_hashes: dict[str, str] = {}
        self.input_hashes: dict[str, str] = {}
        self.stack_absent = False
        self.unplanned: Unplanned | None = None
        self.failure: str | None = None
        self.failure_source: FailureSource = "engine"
        self.finished = False

    def read_line(self, line: str) -> None:
        """Process one line of the child's standard output."""
        message = parse_message(line)
        match message:
            case Step():
                self.steps.append(message)
                self._tell_step(message)
            case Diagnostic():
                message = replace(message, text=self._clean(message.text))
                self.diagnostics.append(message)
                level = _LEVELS.get(message.severity, ProgressLevel.INFO)
                self._tell(readable(message.text), level)
            case Restarted():
                self._restart(message)
            case State():
                self._record(message)
            case Inputs():
                self.input_hashes |= message.hashes
            case StackAbsent():
                self.stack_absent = True
                self._tell("the stack does not exist yet: every resource is planned as new")
            case Unplanned():
                self.unplanned = self.unplanned or message
            case Failed():
                self.failure = self._clean(message.text)
                self.failure_source = message.source
            case Finished():
                self.finished = True

    def managed(self) -> frozenset[str]:
        """The resources that the stack has managed so far, according to the state."""
        return frozenset(urn for urn, resource in self.recorded.items() if not resource.external)

    def planned(self) -> list[Step]:
        """The steps of the plan itself, as they were announced, without the refresh before it."""
        return [step for step in self.steps if step.phase == "started" and operation_of(step) is not Operation.REFRESH]

    def carried_out(self) -> list[Step]:
        """The steps that were carried out, without the refresh before them."""
        return [step for step in self.steps if step.phase == "done" and operation_of(step) is not Operation.REFRESH]

    def refreshed(self) -> list[Step]:
        """What a refresh found: one step for each resource."""
        return [step for step in self.steps if step.phase == "done"]

    def stack_outputs(self) -> dict[str, Json]:
        """The stack's outputs in the last event about it."""
        for step in reversed(self.steps):
            if step.type == STACK_TYPE and operation_of(step) is not Operation.REFRESH and step.after is not None:
                return step.after.outputs
        return {}

    def _restart(self, message: Restarted) -> None:
        self.steps.clear()
        self.diagnostics.clear()
        self._planned.clear()
        self._tell(f"the program reads stack {', '.join(message.stacks)}: planning again with its outputs")

    def _record(self, state: State) -> None:
        for resource in state.resources:
            # A replaced resource that still has to be deleted has the same URN.
            earlier = self.recorded.get(resource.urn, resource)
            paths = (*earlier.ignored_paths, *resource.ignored_paths)
            self.recorded[resource.urn] = replace(resource, ignored_paths=tuple(dict.fromkeys(paths)))
        self.cut_short += state.cut_short
        self.state_hashes |= state.hashes

    def _tell_step(self, step: Step) -> None:
        operation = operation_of(step)
        if is_bookkeeping(step) or step.type == STACK_TYPE or step.operation.startswith("discard"):
            return
        if step.phase == "done" and operation not in {Operation.SAME, Operation.READ, Operation.REFRESH}:
            self._done.add(step.urn)
        state = self._dry_state(step, operation) if self._total is None else _state(step, operation)
        if state:
            level = ProgressLevel.ERROR if step.phase == "failed" else ProgressLevel.INFO
            name = step.urn.rsplit("::", 1)[-1]
            self._tell(f"{_SIGNS[operation]} {short_type(step.type)} {name} {state}", level)

    def _dry_state(self, step: Step, operation: Operation) -> str:
        """How a dry run reports a step: an announced change is planned, any other is a difference that was found."""
        match step.phase, operation:
            case _, Operation.SAME | Operation.REFRESH | Operation.READ:
                return _state(step, operation)
            case "started", _:
                self._planned.add(step.urn)
                return "planned"
            case "done", Operation.DELETE if step.urn not in self._planned:
                return "is gone"
            case "done", _ if step.urn not in self._planned:
                return "differs"
            case "failed", _:
                return "failed"
            case _:
                return ""

    def _tell(self, text: str, level: ProgressLevel = ProgressLevel.INFO) -> None:
        known = self._total is not None
        self._on_progress(
            Progress(
                message=self._clean(text),
                level=level,
                done=len(self._done) if known else None,
                total=self._total,
            )
        )

    def _clean(self, text: str) -> str:
        """Remove secrets on arrival: text is cut later, and half a secret could no longer be recognised."""
        return redact_text(self._redactor.redact(text))


def _state(step: Step, operation: Operation) -> str:
    """The state of a step in one word; empty if it gets no progress line."""
    match step.phase:
        case "started":
            return _UNDER_WAY.get(operation, "")
        case "done":
            return _DONE.get(operation, "")
        case "failed":
            return "failed"


def short_type(token: str) -> str:
    """The short form of a type token: `aws:Bucket` for `pulumi-python:dynamic/aws:Bucket`, for example."""
    shortened = token.removeprefix("pulumi-python:dynamic/").removeprefix("pulumi-python:dynamic:")
    package, _, rest = shortened.partition(":")
    module, colon, name = rest.partition(":")
    return f"{package}:{module.partition('/')[0]}:{name}" if colon else shortened
