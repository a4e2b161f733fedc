"""Preflight: every broken prerequisite is a line of its own, before anything is changed."""

from typing import Final

from prefect import task

from holdtrue.core.render import preflight_lines
from holdtrue.errors import PreflightFailed
from holdtrue.models.base import Progress, ProgressLevel
from holdtrue.models.environment import Environment
from holdtrue.models.preflight import PreflightReport, PrerequisiteOutcome
from tasks.journal import staged, watch
from tasks.policy import MUTATES
from tasks.toolbox import ask_prerequisites

_LEVELS: Final = {
    PrerequisiteOutcome.BROKEN: ProgressLevel.ERROR,
    PrerequisiteOutcome.DOUBTFUL: ProgressLevel.WARNING,
}


@task(name="preflight", **MUTATES)  # Not retried: its answer is about now, and a person is waiting for it.
@staged
def require_prerequisites(environment: Environment) -> PreflightReport:
    """Ask for everything the run needs.

    Raises:
        PreflightFailed: with a line for each broken prerequisite.
    """
    report = PreflightReport(environment=environment.name, prerequisites=ask_prerequisites(environment))
    for item in report.prerequisites:
        level = _LEVELS.get(item.outcome, ProgressLevel.INFO)
        watch(Progress(message=f"{item.outcome} | {item.name} | {item.detail}", level=level))
    if report.broken:
        raise PreflightFailed(
            f"{len(report.broken)} prerequisites are broken and nothing was changed:\n{preflight_lines(report)}\n",
            where=f"environment {environment.name}",
            next_step="repair what is listed, then run again",
            done=report,
        )
    return report
