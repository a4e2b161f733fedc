"""The infrastructure program's own unit tests, run by pytest before anything is planned."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from holdtrue.errors import ProgramTestsFailed
from holdtrue.models.base import Progress, ProgressLevel, ProgressSink, ignore_progress
from holdtrue.models.report import ProgramTests
from holdtrue.runtime.folder import private_folder
from holdtrue.runtime.interpreter import own_python
from holdtrue.runtime.pytest_run import (
    CaseOutcome,
    CaseResult,
    CollectedCase,
    PytestEnd,
    PytestRequest,
    PytestRun,
    run_pytest,
)
from holdtrue.runtime.tracing import span

_CONFIGURATIONS: Final = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml")
"""In pytest's own order (https://docs.pytest.org/en/stable/reference/customize.html)."""

_SHOWN: Final = 10


def run_program_tests(
    tests: Path,
    *,
    project: Path,
    timeout_seconds: float,
    python: Path | None = None,
    on_progress: ProgressSink = ignore_progress,
) -> ProgramTests:
    """Run the tests in `tests` as `pytest` in the project's folder would, with its pytest configuration.

    They run in `python`, which has to find pytest, or else in the interpreter that runs this.
    They see no credential: neither the worker's variables nor its home folder. Nothing is written into the project.

    Raises:
        ProgramTestsFailed: a test failed or did not end, a file could not be collected, or no test ran; the message
            has a line for each, with file and line.
        ToolMissing: the interpreter cannot be started.
    """
    if not tests.exists():
        raise ProgramTestsFailed(
            "The program has no tests",
            where=str(tests),
            next_step="write some, name them in `infrastructure.tests`, or say in `infrastructure.without_tests` why "
            "there are none",
        )

    def on_case(case: CollectedCase, result: CaseResult, done: int, total: int) -> None:
        on_progress(_as_progress(case, result, done, total))

    with span("program-tests", project=project.name), private_folder("holdtrue-home") as home:
        run = run_pytest(
            PytestRequest(
                paths=[tests.absolute()],
                root=project.absolute(),
                folder=project.absolute(),
                configuration=_configuration(project.absolute()),
                environment={"HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true"},
                python=python or own_python(),
            ),
            timeout_seconds=timeout_seconds,
            on_case=on_case,
        )
    return _judge(run, project)


def _configuration(project: Path) -> Path:
    return next((project / name for name in _CONFIGURATIONS if (project / name).is_file()), Path("/dev/null"))


def _judge(run: PytestRun, project: Path) -> ProgramTests:
    bad = [result for result in run.results if result.outcome in {CaseOutcome.FAILED, CaseOutcome.ERROR}]
    skipped = [result for result in run.results if result.outcome is CaseOutcome.SKIPPED]
    passed = len(run.results) - len(bad) - len(skipped)
    complaints = [
        *(f"{result.where or result.node_id}: {_name(result.node_id)}: {result.detail}" for result in bad),
        *(f"{file.node_id}: cannot be collected: {file.detail}" for file in run.uncollected if not file.skipped),
        *(f"{case.node_id}: did not end" for case in run.unfinished),
    ]
    if run.end not in {PytestEnd.COMPLETED, PytestEnd.NOTHING_COLLECTED}:
        complaints.append(f"pytest {run.end}: {run.output_tail[-1000:]}")
    if complaints:
        raise ProgramTestsFailed(
            f"The program's tests do not pass:\n{_shorten(complaints)}\n",
            where=str(project),
            next_step="run pytest in the project's folder and make it pass",
        )
    if not passed:
        raise ProgramTestsFailed(
            f"No test of the program ran ({len(skipped)} skipped)",
            where=str(project),
            next_step="write tests that run without credentials",
        )
    return ProgramTests(passed=passed, skipped=len(skipped))


def _shorten(complaints: Sequence[str]) -> str:
    lines = [f"- {complaint.strip()}" for complaint in complaints[:_SHOWN]]
    if len(complaints) > _SHOWN:
        lines.append(f"- and {len(complaints) - _SHOWN} more")
    return "\n".join(lines)


def _name(node_id: str) -> str:
    return node_id.partition("::")[2]


def _as_progress(case: CollectedCase, result: CaseResult, done: int, total: int) -> Progress:
    broken = result.outcome in {CaseOutcome.FAILED, CaseOutcome.ERROR}
    return Progress(
        message=f"{result.outcome} | {case.node_id}",
        level=ProgressLevel.ERROR if broken else ProgressLevel.INFO,
        done=done,
        total=total,
    )
