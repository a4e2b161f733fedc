"""The demo's own arithmetic: a step that does not show what it must ends the demo with its name."""

from collections.abc import Callable
from typing import cast
from uuid import uuid4

import pytest

from sandbox.assembly import Sandbox
from sandbox.demo import Step, StepFailed, Story, require, summary, tell
from sandbox.deployment import FinishedRun
from sandbox.errors import SandboxError


@pytest.fixture
def story() -> Story:
    return Story(sandbox=cast("Sandbox", object()))


def run(state_name: str = "Drifted", report: str = "assets, web-1") -> FinishedRun:
    return FinishedRun(
        id=uuid4(),
        state_name=state_name,
        state_type="COMPLETED",
        message="3 differences",
        report=report,
        seconds=1.0,
        worker_seconds=0.5,
    )


def says(text: str) -> Callable[[Story], str]:
    return lambda _: text


def fails(error: Exception) -> Callable[[Story], str]:
    def act(_: Story) -> str:
        raise error

    return act


def test_steps_are_told_in_order(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    tell(story, [Step("first", says("one")), Step("second", says("two"))])
    assert [(name, outcome) for name, outcome, _ in story.rows] == [("first", "one"), ("second", "two")]
    shown = capsys.readouterr().out
    assert shown.index("first") < shown.index("one") < shown.index("second") < shown.index("two")


@pytest.mark.parametrize(
    "error",
    [StepFailed("not this"), SandboxError("not this"), RuntimeError("not this")],
    ids=["step", "sandbox", "other"],
)
def test_the_first_broken_step_is_named_and_the_last_one(story: Story, error: Exception) -> None:
    with pytest.raises(StepFailed, match=r"second.*not this"):
        tell(story, [Step("first", says("one")), Step("second", fails(error)), Step("third", says("three"))])
    assert [name for name, _, _ in story.rows] == ["first"]


def test_interruption_is_not_taken_for_a_broken_step(story: Story) -> None:
    def interrupted(_: Story) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tell(story, [Step("first", interrupted)])


def test_run_that_shows_everything_passes() -> None:
    require(run(), "Drifted", ["assets", "web-1"])


def test_run_in_another_state_is_refused() -> None:
    with pytest.raises(StepFailed, match=r"InSync.*Drifted.*3 differences"):
        require(run("InSync"), "Drifted")


def test_report_that_lacks_a_name_is_refused() -> None:
    with pytest.raises(StepFailed, match="web-2, Owner"):
        require(run(), "Drifted", ["assets", "web-2", "Owner"])


def test_summary_has_a_line_for_each_step() -> None:
    lines = summary([("deploy", "4 deployments", 1.25), ("provision", "Provisioned", 12.0)]).splitlines()
    assert len(lines) == 2
    assert all(text in line for line, text in zip(lines, ("4 deployments", "Provisioned"), strict=True))
