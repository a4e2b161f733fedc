"""Text from outside in all that a run leaves in Prefect and on the terminal of its worker: shown, and never obeyed."""

import io
import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import State, TaskRun
from prefect.client.schemas.sorting import LogSort
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker, PrefectConsoleHandler

from flows.drift import drift
from flows.provision import provision
from flows.validate import validate
from holdtrue.errors import ProgramFailed
from holdtrue.models.base import Progress, ProgressSink, ignore_progress
from holdtrue.models.configuration import ConfigurationRun, TaskOutcome, TaskResult
from holdtrue.models.preflight import Prerequisite, PrerequisiteOutcome
from holdtrue.models.report import ProvisionReport
from holdtrue.models.stack import Operation, Plan, PropertyChange, RefreshResult, ResourceChange
from holdtrue.models.validation import CheckOutcome, CheckResult
from holdtrue.runtime import log_guard
from holdtrue.testing import FakeConfigurator, FakeHostChecks, FakeStackEngine
from tasks.approval_form import NAME_LIMIT, REASON_LIMIT
from tests.flows.conftest import CONFIGURED, OUTPUTS, FakeTools
from tests.flows.runs import artifacts_of, descriptions_of, end_of, report_of
from tests.flows.test_approval import person, waiting_tools
from tests.hostile_texts import HOSTILE_TEXTS, READABLE_TEXTS, log_dangers, terminal_dangers

__all__ = ["waiting_tools"]

TEXTS = [text for text in HOSTILE_TEXTS if len(text) < 10_000]
"""The very long ones would cut the others off where they are joined."""

ALL = " and ".join(TEXTS)
PLAN = Plan(
    stack="demo",
    changes=tuple(
        ResourceChange(
            urn=f"urn:pulumi:demo::d::{text}::{text}",
            type=text,
            operation=Operation.CREATE,
            changes=(PropertyChange(path=text, before=text, after={text: text}),),
        )
        for text in HOSTILE_TEXTS
    ),
    unchanged=0,
    digest="d" * 64,
)


@dataclass
class TalkingEngine(FakeStackEngine):
    """An engine whose program and providers say these."""

    messages: Sequence[str] = ()

    def preview(self, on_progress: ProgressSink = ignore_progress) -> Plan:
        for message in self.messages:
            on_progress(Progress(message=message))
        return super().preview(on_progress)


@pytest.fixture
def terminal() -> Iterator[io.StringIO]:
    """What Prefect writes to the terminal of a worker."""
    root = logging.getLogger()
    (original,) = (handler for handler in root.handlers if isinstance(handler, PrefectConsoleHandler))
    stream = io.StringIO()
    handler = PrefectConsoleHandler(stream=stream)
    handler.setFormatter(original.formatter)
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)


def log_of(state: State[Any]) -> list[str]:
    APILogWorker.drain_all()
    assert state.state_details.flow_run_id is not None
    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        return [entry.message for entry in client.read_logs(log_filter=wanted, sort=LogSort.TIMESTAMP_ASC)]


def task_runs_of(state: State[Any]) -> list[TaskRun]:
    EventsWorker.drain_all()
    assert state.state_details.flow_run_id is not None
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        return client.read_task_runs(flow_run_filter=wanted)


def lines_of(texts: Iterable[str]) -> list[str]:
    return [line for text in texts for line in text.split("\n")]


def require_neutral(state: State[Any], terminal: str) -> None:
    """Nothing that the run has left is obeyed by what shows it."""
    log = log_of(state)
    assert [danger for record in log for danger in log_dangers(record)] == []
    assert terminal_dangers(lines_of([state.message or ""])) == []
    messages = [run.state.message or "" for run in task_runs_of(state) if run.state is not None]
    assert messages
    assert terminal_dangers(lines_of(messages)) == []
    pages = {key: page for key, page in artifacts_of(state).items() if key.partition("-")[2].startswith("report")}
    assert pages
    assert terminal_dangers(lines_of(pages.values())) == []
    assert terminal_dangers(lines_of(descriptions_of(state).values())) == []
    assert any(line.endswith("=== load environment | demo ===") for line in terminal.split("\n"))
    records = re.split(r"^(?=\d\d:\d\d:\d\d\.\d{3} \| )", terminal.removesuffix("\n"), flags=re.MULTILINE)
    assert [danger for record in records for danger in log_dangers(record.removesuffix("\n"))] == []


def test_a_run_that_reaches_its_end(tools: FakeTools, terminal: io.StringIO, tmp_path: Path) -> None:
    results = tuple(
        TaskResult(host=text, task=text, outcome=TaskOutcome.CHANGED, message=text) for text in HOSTILE_TEXTS
    )
    tools.engine = TalkingEngine(plans=(PLAN,), stack_outputs=(OUTPUTS,), messages=(*HOSTILE_TEXTS, *READABLE_TEXTS))
    tools.configurator = FakeConfigurator((CONFIGURED.model_copy(update={"results": results}), CONFIGURED))

    state = end_of(provision, "demo")

    assert state.name == "Provisioned"
    require_neutral(state, terminal.getvalue())
    log = log_of(state)
    assert [text for text in READABLE_TEXTS if text not in log] == []
    report = report_of(ProvisionReport, state)
    assert report.plan is not None
    assert [change.type for change in report.plan.changes] == [_encodable(text) for text in HOSTILE_TEXTS]
    (document,) = (tmp_path / "reports").glob("*/provision.json")
    assert json.loads(document.read_text())["plan"]["changes"][0]["type"] == HOSTILE_TEXTS[0]
    assert terminal_dangers(document.read_text().split("\n")) == []


def _encodable(text: str) -> str:
    """As UTF-8 can hold it."""
    return text.replace("\ud800", "\ufffd").replace("\udfff", "\ufffd")


def fails_in_the_engine(tools: FakeTools) -> None:
    tools.engine = FakeStackEngine(plans=(ProgramFailed(ALL, where=ALL, next_step=ALL),))


def fails_unexpectedly(tools: FakeTools) -> None:
    tools.engine = FakeStackEngine(plans=(ValueError(ALL),))


def fails_in_preflight(tools: FakeTools) -> None:
    tools.prerequisites = tuple(
        Prerequisite(name=text, outcome=PrerequisiteOutcome.BROKEN, detail=text, next_step=text) for text in TEXTS
    )


def fails_on_a_host(tools: FakeTools) -> None:
    result = TaskResult(host="web-1", task=ALL, outcome=TaskOutcome.FAILED, message=ALL)
    done = ConfigurationRun(check=False, hosts=(), results=(result,))
    tools.configurator = FakeConfigurator((ProgramFailed(ALL, done=done),))


def fails_a_check(tools: FakeTools) -> None:
    results = [
        CheckResult(target=text, name=text, kind="testinfra", outcome=CheckOutcome.FAILED, detail=text)
        for text in TEXTS
    ]
    tools.checks = FakeHostChecks(runs=(results,))


@pytest.mark.parametrize(
    ("fail", "state_name"),
    [
        (fails_in_the_engine, "ProgramFailed"),
        (fails_unexpectedly, "Failed"),
        (fails_in_preflight, "PreflightFailed"),
        (fails_on_a_host, "ProgramFailed"),
        (fails_a_check, "ValidationFailed"),
    ],
)
def test_a_provision_that_fails(fail: Any, state_name: str, tools: FakeTools, terminal: io.StringIO) -> None:
    fail(tools)

    state = end_of(provision, "demo")

    assert state.name == state_name
    require_neutral(state, terminal.getvalue())


def test_drift_of_what_others_have_named(tools: FakeTools, terminal: io.StringIO) -> None:
    changes = tuple(change.model_copy(update={"operation": Operation.UPDATE}) for change in PLAN.changes)
    tools.engine = FakeStackEngine(
        refreshes=(RefreshResult(changes=changes, checked=tuple(TEXTS), unchecked=tuple(TEXTS)),),
        stack_outputs=(OUTPUTS,),
    )

    state = end_of(drift, ["demo"])

    assert state.name == "Drifted"
    require_neutral(state, terminal.getvalue())


def test_checks_as_junit_and_as_a_table(tools: FakeTools, terminal: io.StringIO, tmp_path: Path) -> None:
    fails_a_check(tools)

    state = end_of(validate, "demo")

    assert state.name == "ChecksFailed"
    require_neutral(state, terminal.getvalue())
    (junit,) = (tmp_path / "reports").glob("*/junit.xml")
    assert terminal_dangers(junit.read_text().split("\n")) == []
    rows = json.loads(artifacts_of(state)["checks-demo"])
    assert terminal_dangers(lines_of(str(value) for row in rows for value in row.values())) == []


@pytest.mark.usefixtures("waiting_tools")
def test_who_approves_and_why(terminal: io.StringIO) -> None:
    text = "\n".join(text for text in TEXTS if "\ud800" not in text)  # An HTTP request holds UTF-8.
    answer = {"approve": True, "approver": text[:NAME_LIMIT], "reason": text[:REASON_LIMIT]}
    with person(answer) as told:
        state = end_of(provision, "demo")

    assert state.name == "Provisioned"
    assert terminal_dangers(lines_of(json.loads(item) for item in told)) == []
    require_neutral(state, terminal.getvalue())


def test_the_control_sees_a_run_without_the_guard(
    tools: FakeTools, terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_guard, "neutralize_record", lambda _: None)
    tools.engine = TalkingEngine(stack_outputs=(OUTPUTS,), messages=(TEXTS[0], TEXTS[1]))

    state = end_of(provision, "demo")

    assert [danger for record in log_of(state) for danger in log_dangers(record)]
    assert "\x1b" in terminal.getvalue()
