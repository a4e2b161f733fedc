"""What the child has said so far, and the progress lines made from it as it speaks."""

from holdtrue.adapters.pulumi.changes import STACK_TYPE, is_bookkeeping, operation_of
from holdtrue.adapters.pulumi.failures import readable
from holdtrue.adapters.pulumi.messages import (
    Diagnostic,
    Failed,
    Finished,
    Inventory,
    Json,
    StackAbsent,
    Step,
    parse_message,
)
from holdtrue.core.redaction import redact
from holdtrue.models.base import Progress, ProgressLevel, ProgressSink
from holdtrue.models.stack import Operation

_SIGNS = {
    Operation.SAME: " ",
    Operation.CREATE: "+",
    Operation.UPDATE: "~",
    Operation.REPLACE: "±",
    Operation.DELETE: "-",
    Operation.READ: ">",
    Operation.REFRESH: ">",
}
_GERUNDS = {
    Operation.SAME: "checking",
    Operation.CREATE: "creating",
    Operation.UPDATE: "updating",
    Operation.REPLACE: "replacing",
    Operation.DELETE: "deleting",
    Operation.READ: "reading",
    Operation.REFRESH: "reading",
}
_LEVELS = {"warning": ProgressLevel.WARNING, "error": ProgressLevel.ERROR}


class Journal:
    """Collects the messages of one operation; `total` is the number of changes where the caller knows it."""

    def __init__(self, on_progress: ProgressSink, secrets: tuple[str, ...], total: int | None = None) -> None:
        self._on_progress = on_progress
        self._secrets = secrets
        self._total = total
        self._done = 0
        self.steps: list[Step] = []
        self.diagnostics: list[Diagnostic] = []
        self.inventory: tuple[str, ...] = ()
        self.stack_absent = False
        self.failure: str | None = None
        self.finished = False

    def read_line(self, line: str) -> None:
        """Take one line of the child's standard output."""
        message = parse_message(line)
        match message:
            case Step():
                self.steps.append(message)
                self._tell_step(message)
            case Diagnostic():
                self.diagnostics.append(message)
                level = _LEVELS.get(message.severity, ProgressLevel.INFO)
                self._tell(readable(message.text), level)
            case Inventory():
                self.inventory += message.urns
            case StackAbsent():
                self.stack_absent = True
                self._tell("the stack does not exist yet: everything is planned as new")
            case Failed():
                self.failure = message.text
            case Finished():
                self.finished = True

    def planned(self) -> list[Step]:
        """The steps of the plan itself, as they were announced, without the refresh before it."""
        return [step for step in self.steps if step.phase == "started" and operation_of(step) is not Operation.REFRESH]

    def carried_out(self) -> list[Step]:
        """The steps that were carried out, without the refresh before them."""
        return [step for step in self.steps if step.phase == "done" and operation_of(step) is not Operation.REFRESH]

    def refreshed(self) -> list[Step]:
        """What a refresh found, a step a resource."""
        return [step for step in self.steps if step.phase == "done"]

    def stack_outputs(self) -> dict[str, Json]:
        """The stack's outputs as the last event about it holds them."""
        for step in reversed(self.steps):
            if step.type == STACK_TYPE and operation_of(step) is not Operation.REFRESH and step.after is not None:
                return step.after.outputs
        return {}

    def _tell_step(self, step: Step) -> None:
        operation = operation_of(step)
        if is_bookkeeping(step) or step.type == STACK_TYPE:
            return
        state = _GERUNDS[operation] if step.phase == "started" else step.phase
        if step.phase == "done" and operation not in {Operation.SAME, Operation.REFRESH}:
            self._done += 1
        level = ProgressLevel.ERROR if step.phase == "failed" else ProgressLevel.INFO
        name = step.urn.rsplit("::", 1)[-1]
        self._tell(f"{_SIGNS[operation]} {short_type(step.type)} {name} {state}", level)

    def _tell(self, text: str, level: ProgressLevel = ProgressLevel.INFO) -> None:
        known = self._total is not None
        self._on_progress(
            Progress(
                message=redact(text, self._secrets),
                level=level,
                done=self._done if known else None,
                total=self._total,
            )
        )


def short_type(token: str) -> str:
    """A type token as a person says it: `pulumi-python:dynamic/aws:Bucket` is `aws:Bucket`, and so on."""
    shortened = token.removeprefix("pulumi-python:dynamic/")
    package, _, rest = shortened.partition(":")
    module, colon, name = rest.partition(":")
    return f"{package}:{module.partition('/')[0]}:{name}" if colon else shortened
