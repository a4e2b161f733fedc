"""A handler that was lost is remembered from run to run, until it has run or a person acknowledges it."""

import os
from pathlib import Path

import pytest

from flows.drift import drift
from flows.provision import provision
from holdtrue.adapters.ledger import open_ledger
from holdtrue.cli import ExitCode, main
from holdtrue.errors import ConfigurationFailed, HoldtrueError, ServiceUnreachable
from holdtrue.models.configuration import HandlerNote, LostHandler, TaskOutcome, TaskResult, UntouchedHost
from holdtrue.models.drift import DriftReport, DriftVerdict
from holdtrue.models.ledger import Ledger
from holdtrue.models.report import ProvisionReport
from holdtrue.testing import FakeConfigurator
from tests.flows.conftest import CONFIGURED, FakeTools
from tests.flows.runs import artifacts_of, end_of, report_of
from tests.flows.test_provision import STANDBY

LOST = LostHandler(host="web-1", handler="Restart")
BROKEN = ConfigurationFailed("a task failed", done=CONFIGURED.model_copy(update={"lost_handlers": (LOST,)}))


@pytest.fixture
def ledger(fleet: Path) -> Ledger:  # noqa: ARG001 - which names the ledger too
    return open_ledger(os.environ["HOLDTRUE_LEDGER_URL"])


def lose(tools: FakeTools) -> None:
    tools.configurator = FakeConfigurator((BROKEN,))
    state = end_of(provision, "demo")
    assert state.name == "ConfigurationFailed"
    report = report_of(ProvisionReport, state)
    assert report.configured is not None
    assert report.configured.lost_handlers == (LOST,)
    page = artifacts_of(state)["provision-report-demo"]
    assert "Restart" in page
    assert "never began" in page


def test_the_run_after_a_lost_handler_is_not_good_although_nothing_changes(tools: FakeTools, ledger: Ledger) -> None:
    lose(tools)
    assert [(item.host, item.handler) for item in ledger.handlers.all("demo")] == [("web-1", "Restart")]

    for _ in range(2):
        tools.configurator = FakeConfigurator((CONFIGURED,))
        state = end_of(provision, "demo")
        assert state.name == "HandlersLost"
        assert "web-1: Restart" in str(state.message)
        assert tools.configurator.calls == ["apply", "apply"]
        assert tools.switch.current == STANDBY
        assert report_of(ProvisionReport, state).verified == CONFIGURED


def test_a_handler_that_has_run_since_is_forgotten(tools: FakeTools, ledger: Ledger) -> None:
    lose(tools)
    ran = HandlerNote(host="web-1", handlers=("Restart", "web : Restart"), is_open=False)
    tools.configurator = FakeConfigurator((CONFIGURED,), handlers_run=(ran,))

    assert end_of(provision, "demo").name == "Provisioned"
    assert ledger.handlers.all() == ()


def test_a_handler_that_a_person_acknowledges_is_forgotten(tools: FakeTools) -> None:
    lose(tools)
    tools.configurator = FakeConfigurator((CONFIGURED,))

    assert main(["acknowledge", "demo", "web-1", "Restart"]) == ExitCode.GOOD

    assert end_of(provision, "demo").name == "Provisioned"


def test_a_handler_of_a_host_that_is_gone_keeps_no_run_from_being_good(tools: FakeTools, ledger: Ledger) -> None:
    ledger.handlers.add("demo", "web-9", "Restart")
    ledger.handlers.add("other", "web-1", "Restart")
    tools.configurator = FakeConfigurator((CONFIGURED,))

    assert end_of(provision, "demo").name == "Provisioned"
    assert len(ledger.handlers.all()) == 2


def test_a_handler_that_a_good_run_lost_is_told_by_that_run(tools: FakeTools) -> None:
    lossy = CONFIGURED.model_copy(update={"lost_handlers": (LOST,)})
    tools.configurator = FakeConfigurator((lossy, CONFIGURED))

    assert end_of(provision, "demo").name == "HandlersLost"


def test_a_ledger_that_does_not_take_a_note_does_not_stop_the_playbook(
    tools: FakeTools, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [ServiceUnreachable("the ledger is away"), None]
    add = type(ledger.handlers).add

    def add_at_the_second_try(*arguments: str) -> None:
        error = answers.pop(0)
        if error is not None:
            raise error
        add(*arguments)  # type: ignore[arg-type] # the first is the object

    monkeypatch.setattr(type(ledger.handlers), "add", add_at_the_second_try)
    tools.configurator = FakeConfigurator((BROKEN,))

    assert end_of(provision, "demo").name == "ConfigurationFailed"
    assert [item.handler for item in ledger.handlers.all()] == ["Restart"]


def test_a_ledger_that_never_takes_it_leaves_the_run_its_own_failure(
    tools: FakeTools, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: str) -> None:
        raise ServiceUnreachable("the ledger is away")

    monkeypatch.setattr(type(ledger.handlers), "add", refuse)
    tools.configurator = FakeConfigurator((BROKEN,))

    assert end_of(provision, "demo").name == "ConfigurationFailed"


@pytest.mark.usefixtures("tools")
def test_drift_names_a_handler_that_has_not_run(ledger: Ledger) -> None:
    assert end_of(drift, ["demo"]).name == "InSync"
    ledger.handlers.add("demo", "web-2", "Restart")

    state = end_of(drift, ["demo"])

    assert state.name == "Drifted"
    (environment,) = report_of(DriftReport, state).environments
    assert [(item.target, item.field) for item in environment.findings] == [("web-2", "Restart")]


ACCEPT = """
  ignore:
    - {layer: configuration, target: web-2, field: "no task", reason: its play ends it, owner: me, expires: %s}
"""


def test_a_gap_is_accepted_by_rule_until_it_expires_and_stays_on_the_page(tools: FakeTools, fleet: Path) -> None:
    manifest = fleet / "environments" / "demo.yaml"
    text = manifest.read_text()
    head = "drift:\n  layers: [infrastructure, configuration, runtime]\n"
    untouched = (UntouchedHost(host="web-2", reason="its play was ended"),)
    tools.configurator = FakeConfigurator(checks=(CONFIGURED.model_copy(update={"untouched": untouched}),))

    assert end_of(drift, ["demo"]).name == "Incomplete"

    manifest.write_text(text.replace(head, head + ACCEPT % "2999-01-01"))
    state = end_of(drift, ["demo"])
    assert state.name == "InSync"
    assert "1 gap accepted" in str(state.message)
    page = artifacts_of(state)["drift-report-demo"]
    assert "its play ends it" in page
    assert "2999-01-01" in page

    manifest.write_text(text.replace(head, head + ACCEPT % "2001-01-01"))
    state = end_of(drift, ["demo"])
    assert state.name == "Incomplete"
    assert "expired" in str(state.message)
    assert report_of(DriftReport, state).verdict is DriftVerdict.UNKNOWN


def test_a_host_that_was_not_touched_is_on_the_page_of_a_provision(tools: FakeTools) -> None:
    untouched = (UntouchedHost(host="web-2", reason="its play was ended"),)
    tools.configurator = FakeConfigurator((CONFIGURED.model_copy(update={"untouched": untouched}),))

    state = end_of(provision, "demo")

    assert state.name == "Provisioned"
    assert "its play was ended" in artifacts_of(state)["provision-report-demo"]


def test_a_check_that_fails_hides_neither_what_it_saw_nor_handlers(tools: FakeTools) -> None:
    lose(tools)
    changed = TaskResult(host="web-2", task="Write it", outcome=TaskOutcome.CHANGED)
    broken = TaskResult(host="web-1", task="Require it", outcome=TaskOutcome.FAILED, message="not so")
    seen = CONFIGURED.model_copy(update={"check": True, "results": (changed, broken)})
    tools.configurator = FakeConfigurator(checks=(ConfigurationFailed("task 'Require it' failed", done=seen),))
    state = end_of(drift, ["demo"])
    report = report_of(DriftReport, state)
    (found,) = report.environments
    assert "| check configuration | demo | failed |" in artifacts_of(state)["drift-report-demo"]
    assert found.verdict is DriftVerdict.DRIFTED
    assert {(item.target, item.field) for item in found.findings} >= {("web-2", "Write it"), ("web-1", "Restart")}
    assert ("web-1", "Require it") in {(item.target, item.field) for item in found.not_checked}


@pytest.mark.parametrize("kind", [ConfigurationFailed, ServiceUnreachable])
def test_a_check_that_never_began_names_handlers_and_its_reason(tools: FakeTools, kind: type[HoldtrueError]) -> None:
    lose(tools)
    tools.configurator = FakeConfigurator(checks=(kind("the playbook cannot run"),))
    (found,) = report_of(DriftReport, end_of(drift, ["demo"])).environments
    assert [item.field for item in found.findings] == ["Restart"]
    assert "the playbook cannot run" in {reason for item in found.not_checked for reason in [item.reason.split(".")[0]]}
