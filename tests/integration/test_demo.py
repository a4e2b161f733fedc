"""The demo's own arithmetic: a step that does not show what it must ends the demo with its name."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from uuid import uuid4

import pytest

from sandbox.assembly import Sandbox
from sandbox.demo import Step, StepFailed, Story, look_at_logs, require, show_scheduled, summary, tell
from sandbox.deployment import FinishedRun
from sandbox.errors import SandboxError
from sandbox.schedules import ScheduledRun, wait_for_start


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


# Runs that nobody asked for

SLOT = datetime(2026, 11, 30, 4, 0, tzinfo=UTC)


def scheduled(state_name: str, report: str = "assets, web-1") -> ScheduledRun:
    return ScheduledRun("calm-owl", SLOT, SLOT + timedelta(seconds=3), run(state_name, report))


def test_scheduled_run_is_told_with_its_name_its_slot_its_end_and_its_report(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert show_scheduled(scheduled("Drifted"), "Drifted", ["assets"]) == "Drifted: 3 differences"
    told = capsys.readouterr().out
    assert [text for text in ("calm-owl", "04:00:00", "04:00:03", "assets, web-1") if text not in told] == []


def test_scheduled_run_that_shows_something_else_is_refused() -> None:
    with pytest.raises(StepFailed, match="InSync"):
        show_scheduled(scheduled("InSync"), "Drifted")
    with pytest.raises(StepFailed, match="web-2"):
        show_scheduled(scheduled("Drifted"), "Drifted", ["web-2"])


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ([], "none"),
        ([SimpleNamespace(name="late-fox", expected_start_time=SLOT, start_time=None, state_name="Late")], "late-fox"),
    ],
)
def test_schedule_that_does_not_fire_in_time_ends_the_demo_with_what_is_scheduled(
    story: Story, monkeypatch: pytest.MonkeyPatch, known: list[SimpleNamespace], said: str
) -> None:
    monkeypatch.setattr("sandbox.schedules.scheduled_runs", lambda _: known)
    step = Step("drift by its schedule", lambda _: wait_for_start("drift/drift", SLOT, timeout_seconds=0).name)
    with pytest.raises(StepFailed, match=rf"drift by its schedule.*drift/drift.*04:00:00.*{said}.*Next:"):
        tell(story, [step])


# Logs of the services


def story_with_logs(folder: Path, **logs: str) -> Story:
    for service, text in logs.items():
        (folder / f"{service}.log").write_text(text)
    return Story(sandbox=cast("Sandbox", SimpleNamespace(log_directory=folder)))


@pytest.mark.parametrize(
    "planted",
    [
        "03:35:04.552 | ERROR   | prefect.server.services.scheduler - Error scheduling deployment\n",
        'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nValueError: no\n',
    ],
)
def test_error_in_a_service_s_log_ends_the_demo_with_the_excerpt(tmp_path: Path, planted: str) -> None:
    told = story_with_logs(tmp_path, prefect=f"started\n{planted}", aws="started\n")
    with pytest.raises(StepFailed) as caught:
        look_at_logs(told)
    named = (str(tmp_path / "prefect.log"), "line 2", planted.splitlines()[-1], "Next:")
    assert [text for text in named if text not in str(caught.value)] == []


def test_quiet_logs_and_what_is_expected_pass(tmp_path: Path) -> None:
    expected = "2026-11-30 03:39:42.752 UTC [24746] FATAL:  the database system is starting up\n"
    assert "2" in look_at_logs(story_with_logs(tmp_path, postgres=expected, aws="started\n"))
