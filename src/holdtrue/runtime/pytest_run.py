"""Run pytest on someone else's tests in a child process, and tell truthfully how it ended.

No plugin but the named ones, no configuration but the named one, no cache, bytecode or temporary file left behind.
Every case's result arrives as it ends; what was collected and never ended is listed too.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, assert_never

from pydantic import Field, RootModel, ValidationError

from holdtrue.models.base import Value
from holdtrue.runtime.folder import private_folder
from holdtrue.runtime.interpreter import own_python, python_command, python_environment
from holdtrue.runtime.process import ToolTimeout, run_tool, tool_environment
from holdtrue.runtime.redaction import redact_data

_GRACE_SECONDS = 5.0
NO_CONFIGURATION = Path("/dev/null")


class CaseOutcome(StrEnum):
    """How one case ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERROR = "error"
    """Set-up or teardown broke, it ran too long, or a plugin said that it could not look."""


class CollectedCase(Value):
    """One case that was to run."""

    kind: Literal["collected"]
    node_id: str
    target: str = Field(description="What the case is about, where a plugin says so.")
    name: str = Field(description="Its name without the target.")


class CaseResult(Value):
    """One case that ended."""

    kind: Literal["case"]
    node_id: str
    outcome: CaseOutcome
    where: str = Field(description="file:line below the root folder; empty unless it failed there.")
    detail: str
    duration_seconds: float


class Uncollected(Value):
    """A file or folder whose cases are unknown: it could not be imported, or skipped itself as a whole."""

    kind: Literal["uncollected"]
    node_id: str
    skipped: bool
    detail: str


class EmptyFile(Value):
    """A test file of which no case was to run."""

    kind: Literal["empty"]
    node_id: str
    deselected: bool = Field(description="Whether it has cases, all of which were deselected.")


class _Notice(Value):
    kind: Literal["notice"]
    text: str


class _SessionEnd(Value):
    kind: Literal["end"]


class _Line(
    RootModel[
        Annotated[
            CollectedCase | CaseResult | Uncollected | EmptyFile | _Notice | _SessionEnd, Field(discriminator="kind")
        ]
    ]
):
    """One line of the child's standard output."""


class PytestEnd(StrEnum):
    """How the run as a whole ended (https://docs.pytest.org/en/stable/reference/exit-codes.html)."""

    COMPLETED = "completed"
    """Everything that was collected has a result."""
    NOTHING_COLLECTED = "nothing collected"
    INTERRUPTED = "interrupted"
    INTERNAL_ERROR = "internal error"
    USAGE_ERROR = "usage error"
    """Also a conftest.py that cannot be imported."""
    TIMED_OUT = "timed out"
    DIED = "died"
    """The process ended without finishing its session."""


_ENDS = {
    0: PytestEnd.COMPLETED,
    1: PytestEnd.COMPLETED,
    2: PytestEnd.INTERRUPTED,
    3: PytestEnd.INTERNAL_ERROR,
    4: PytestEnd.USAGE_ERROR,
    5: PytestEnd.NOTHING_COLLECTED,
}


@dataclass(frozen=True, slots=True)
class PytestRun:
    """Everything a run said."""

    end: PytestEnd
    collected: tuple[CollectedCase, ...]
    results: tuple[CaseResult, ...]
    uncollected: tuple[Uncollected, ...]
    empty: tuple[EmptyFile, ...]
    output_tail: str
    """The last lines that pytest wrote for people."""

    @property
    def unfinished(self) -> tuple[CollectedCase, ...]:
        """Cases that were to run and have no result."""
        finished = {result.node_id for result in self.results}
        return tuple(case for case in self.collected if case.node_id not in finished)


@dataclass(frozen=True, slots=True)
class PytestRequest:
    """What to run."""

    paths: Sequence[Path]
    root: Path
    """Node ids are relative to it."""
    folder: Path
    """Working folder of the run, first on its import path."""
    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to the environment every tool gets."""
    configuration: Path = NO_CONFIGURATION
    conftest_root: Path | None = None
    """No conftest.py above it is read; `root` without it."""
    case_timeout_seconds: float = 0.0
    """Limit on one case's set-up, call and teardown each; 0 is none."""
    python: Path = field(default_factory=own_python)
    """The interpreter; it has to find pytest."""


CaseSink = Callable[[CollectedCase, CaseResult, int, int], None]
"""Takes a case, its result, how many cases have ended, and how many there are."""


def run_pytest(
    request: PytestRequest,
    *,
    timeout_seconds: float,
    on_case: CaseSink,
    on_notice: Callable[[str], None] = lambda _: None,
) -> PytestRun:
    """Run the request to its end; never raises for what the tests do, nor for running out of time.

    Args:
        request: What to run.
        timeout_seconds: For all of it.
        on_case: Takes each result as it comes.
        on_notice: Takes what pytest says of its configuration.

    Raises:
        ToolMissing: the interpreter cannot be started.
    """
    reading = _Reading(on_case, on_notice)
    with private_folder("holdtrue-pytest") as scratch:
        extra = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(scratch)}
        try:
            ended = run_tool(
                _command(request, scratch),
                environment=python_environment(request.python, tool_environment({**request.environment, **extra})),
                folder=request.folder,
                on_line=reading.take,
                timeout_seconds=timeout_seconds,
                grace_seconds=_GRACE_SECONDS,
            )
        except ToolTimeout as error:
            return reading.close(PytestEnd.TIMED_OUT, error.what)
    return reading.close(_ENDS.get(ended.exit_code, PytestEnd.DIED), ended.error_tail)


def _command(request: PytestRequest, scratch: Path) -> list[str]:
    return [
        *python_command(request.python, module="holdtrue.runtime.pytest_child", folder=scratch),
        str(request.case_timeout_seconds),
        "-q",
        "--tb=short",
        "--color=no",
        "--continue-on-collection-errors",
        "-p",
        "no:cacheprovider",
        f"--basetemp={scratch / 'cases'}",
        f"--rootdir={request.root}",
        f"--confcutdir={request.conftest_root or request.root}",
        "-c",
        str(request.configuration),
        *request.options,
        "--",
        *(str(path) for path in request.paths),
    ]


class _Reading:
    """Collects the child's lines."""

    def __init__(self, on_case: CaseSink, on_notice: Callable[[str], None]) -> None:
        self._on_case = on_case
        self._on_notice = on_notice
        self._collected: dict[str, CollectedCase] = {}
        self._results: list[CaseResult] = []
        self._uncollected: list[Uncollected] = []
        self._empty: list[EmptyFile] = []
        self._ended = False
        self._garbled = False

    def take(self, text: str) -> None:
        """Accept one line without registered secrets, which a failed assertion shows.

        One that is not ours means that results may be lost, so the run does not count as whole.
        """
        try:
            line = _Line.model_validate(redact_data(json.loads(text))).root
        except (json.JSONDecodeError, ValidationError):
            self._garbled = True
            return
        match line:
            case CollectedCase():
                self._collected[line.node_id] = line
            case CaseResult() if line.node_id in self._collected:
                self._results.append(line)
                self._on_case(self._collected[line.node_id], line, len(self._results), len(self._collected))
            case CaseResult():
                self._garbled = True
            case Uncollected():
                self._uncollected.append(line)
            case EmptyFile():
                self._empty.append(line)
            case _Notice():
                self._on_notice(line.text)
            case _SessionEnd():
                self._ended = True
            case _:
                assert_never(line)

    def close(self, end: PytestEnd, output_tail: str) -> PytestRun:
        """Everything that arrived, and an end that is never better than what arrived."""
        run = PytestRun(
            end=end,
            collected=tuple(self._collected.values()),
            results=tuple(self._results),
            uncollected=tuple(self._uncollected),
            empty=tuple(self._empty),
            output_tail=output_tail,
        )
        if end not in {PytestEnd.COMPLETED, PytestEnd.NOTHING_COLLECTED}:
            return run
        if self._garbled or not self._ended:
            end = PytestEnd.DIED
        elif run.unfinished:
            end = PytestEnd.INTERRUPTED
        return replace(run, end=end)
