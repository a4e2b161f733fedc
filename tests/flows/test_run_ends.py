"""How a run ends: its state and name, the last lines of its log, and the report that others load."""

import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, Log, State, StateType
from prefect.client.schemas.sorting import LogSort
from prefect.exceptions import FailedRun
from prefect.flow_engine import run_flow
from prefect.logging.handlers import APILogWorker
from prefect.logging.loggers import flow_run_logger
from prefect.settings import PREFECT_API_URL, PREFECT_FLOW_DEFAULT_RETRIES, temporary_settings

from flows.audit import audit
from flows.drift import drift
from flows.provision import provision
from flows.sweep import sweep
from flows.validate import validate
from holdtrue.core.junit import render_junit
from holdtrue.errors import (
    ConfigurationFailed,
    HoldtrueError,
    ProgramFailed,
    RejectedError,
    ResourceMissing,
    ServiceUnreachable,
    keeping_done,
)
from holdtrue.models.audit_changes import FleetAudit
from holdtrue.models.configuration import ConfigurationRun, HostSummary, TaskOutcome, TaskResult
from holdtrue.models.drift import DriftReport
from holdtrue.models.outcome import FlowReport, RunOutcome, StageOutcome
from holdtrue.models.preflight import Prerequisite, PrerequisiteOutcome
from holdtrue.models.report import ProvisionReport, ValidationReport
from holdtrue.models.stack import ApplyResult, Operation, Plan, PropertyChange, ResourceChange, StackOutputs
from holdtrue.models.sweep import SweepReport
from holdtrue.models.validation import CheckOutcome, CheckResult
from holdtrue.testing import (
    FakeAdvisorySource,
    FakeConfigurator,
    FakeHostChecks,
    FakeProber,
    FakeStackEngine,
    FakeTrafficSwitch,
)
from tasks import reports
from tasks.reports import load_report
from tests.flows.conftest import CONFIGURED, OUTPUTS, FakeTools
from tests.flows.runs import artifacts_of, end_of, report_of

BUCKET = ResourceChange(
    urn="urn:pulumi:demo::d::aws:Bucket::assets",
    type="aws:Bucket",
    operation=Operation.CREATE,
    changes=(PropertyChange(path="tags.Owner", before="platform", after="mallory"),),
)
ROLE = BUCKET.model_copy(update={"urn": "urn:pulumi:demo::d::aws:Role::runner", "type": "aws:Role"})
PLAN = Plan(stack="demo", changes=(BUCKET, ROLE), unchanged=0, digest="d" * 64)
WRITTEN = TaskResult(host="web-1", task="Write the page", outcome=TaskOutcome.CHANGED)
BROKEN = TaskResult(host="web-2", task="Start it", outcome=TaskOutcome.FAILED, message="no such unit")
FAILED_CHECK = CheckResult(target="web-1", name="service", kind="testinfra", outcome=CheckOutcome.FAILED, detail="down")
NO_VAULTS: list[str] = []
DOCUMENTED = Path(__file__).parents[2] / "docs" / "flows.md"


def outcome_of(state: State[Any], kind: type[FlowReport] = FlowReport) -> RunOutcome:
    outcome = report_of(kind, state).outcome
    assert outcome is not None
    return outcome


# What is good, and nothing else, is green


def vulnerable(tools: FakeTools) -> None:
    tools.advisories = (FakeAdvisorySource({"demo-yamlish": ("PYSEC-1",)}),)


def drifted(tools: FakeTools) -> None:
    gone = BUCKET.model_copy(update={"operation": Operation.DELETE})
    tools.engine = FakeStackEngine(
        refreshes=(tools.engine.detect().model_copy(update={"changes": (gone,)}),), stack_outputs=(OUTPUTS,)
    )


def failing_check(tools: FakeTools) -> None:
    tools.checks = FakeHostChecks(runs=((FAILED_CHECK,),))


def out_of_reach(tools: FakeTools) -> None:
    tools.engine = FakeStackEngine(
        refreshes=(ServiceUnreachable("no route"),), stack_outputs=(ServiceUnreachable("no route"),)
    )


def silent_source(tools: FakeTools) -> None:
    tools.advisories = (FakeAdvisorySource(failures=(ServiceUnreachable("no answer"),)),)


def no_change(_: FakeTools) -> None:
    return


NOT_GOOD: list[tuple[Callable[..., Any], Any, Callable[[FakeTools], None], str]] = [
    (validate, "demo", failing_check, "ChecksFailed"),
    (validate, "demo", out_of_reach, "Incomplete"),
    (validate, "nowhere", no_change, "Rejected"),
    (drift, None, drifted, "Drifted"),
    (drift, ["demo"], out_of_reach, "Incomplete"),
    (drift, [], no_change, "Rejected"),
    (audit, None, vulnerable, "Vulnerable"),
    (audit, ["demo"], silent_source, "Incomplete"),
    (provision, "nowhere", no_change, "Rejected"),
    (sweep, ["nowhere"], no_change, "Rejected"),
]
GOOD: list[tuple[Callable[..., Any], Any, Callable[[FakeTools], None], str]] = [
    (validate, "demo", no_change, "Passed"),
    (drift, None, no_change, "InSync"),
    (audit, None, no_change, "Clean"),
    (provision, "demo", no_change, "Provisioned"),
    (sweep, NO_VAULTS, no_change, "NothingLeft"),
]
MODELS: dict[str, type[FlowReport]] = {
    "provision": ProvisionReport,
    "validate": ValidationReport,
    "drift": DriftReport,
    "audit": FleetAudit,
    "sweep": SweepReport,
}


def named(case: tuple[Any, ...]) -> str:
    return f"{case[0].name}-{case[3]}"


@pytest.mark.parametrize("case", [*NOT_GOOD, *GOOD], ids=named)
def test_every_end_leaves_a_report_that_any_machine_can_load(
    tools: FakeTools, tmp_path: Path, case: tuple[Callable[..., Any], Any, Callable[[FakeTools], None], str]
) -> None:
    run, argument, prepare, state_name = case
    prepare(tools)

    state = end_of(run, argument)

    is_good = case in GOOD
    assert (state.name, state.type) == (state_name, StateType.COMPLETED if is_good else StateType.FAILED)
    assert getattr(state.data, "result", None) is None, "the state itself has no data"
    kind = run.name  # type: ignore[attr-defined] # a flow
    report = report_of(MODELS[kind], state)
    outcome = report.outcome
    assert outcome is not None
    assert (outcome.state, outcome.is_good) == (state_name, is_good)
    assert outcome.line
    assert bool(outcome.next_step) is not is_good
    (saved,) = (tmp_path / "reports").glob(f"*/{kind}.json")
    if run is not audit:  # Its file is the documented AuditDocument.
        assert type(report).model_validate_json(saved.read_text()) == report
    heads = [text.splitlines()[:8] for text in artifacts_of(state).values()]
    (head,) = [lines for lines in heads if re.fullmatch(rf"# {kind}.*: {state_name}", lines[0])]
    assert any("Next:" in line for line in head) is not is_good


# The log


def log_of(run_id: Any) -> list[Log]:
    APILogWorker.drain_all()
    with get_client(sync_client=True) as client:
        wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id]))
        return client.read_logs(log_filter=wanted, sort=LogSort.TIMESTAMP_ASC)


def run_as_a_worker_does(run: Any, parameters: dict[str, Any]) -> FlowRun:
    """The engine's call of prefect/engine.py, which tells the run's log about exceptions."""
    with get_client(sync_client=True) as client:
        created = client.create_flow_run(run, parameters=parameters)
        try:
            run_flow(run, flow_run=created, error_logger=flow_run_logger(created))  # type: ignore[arg-type] # an adapter
        except Exception as error:  # noqa: BLE001 - the engine's process ends by it
            assert isinstance(error, FailedRun | HoldtrueError), error  # noqa: PT017 - no failure is expected here
        return client.read_flow_run(created.id)


def parameters_of(run: Any, argument: Any) -> dict[str, Any]:
    (name, *_) = run.parameters.properties
    return {name: argument}


@pytest.mark.parametrize("case", [*NOT_GOOD, *GOOD], ids=named)
def test_the_log_ends_with_the_outcome_and_the_next_step_once(
    tools: FakeTools, case: tuple[Any, Any, Callable[[FakeTools], None], str]
) -> None:
    run, argument, prepare, state_name = case
    prepare(tools)

    ended = run_as_a_worker_does(run, parameters_of(run, argument))

    log = log_of(ended.id)
    assert ended.state is not None
    assert ended.state.name == state_name
    last = log[-1]
    assert last.message == f"{state_name}: {ended.state.message}"
    assert last.level == (logging.INFO if case in GOOD else logging.ERROR)
    assert ("Next: " in last.message) is (case not in GOOD)
    assert [entry.message for entry in log if "Traceback" in entry.message] == []
    assert sum(str(ended.state.message) in entry.message for entry in log) == 1


@pytest.mark.usefixtures("tools")
def test_each_stage_begins_with_a_heading_above_what_it_says() -> None:
    ended = run_as_a_worker_does(provision, {"environment": "demo"})
    messages = [entry.message for entry in log_of(ended.id)]
    outcome = load_report(ended.id).outcome
    stages = outcome.stages if outcome is not None else ()
    headings = [message.removesuffix(" ===") for message in messages if message.startswith("=== ")]
    assert headings == [f"=== {stage.name}{f' | {stage.environment}' if stage.environment else ''}" for stage in stages]
    applied = [at for at, message in enumerate(messages) if message == "apply"]
    above = [next(line for line in reversed(messages[:at]) if line.startswith("=== ")) for at in applied]
    assert [heading.split(" | ")[0] for heading in above] == [
        "=== apply stack",
        "=== configure hosts",
        "=== prove idempotent",
    ]


def test_a_failed_stage_is_named_without_its_text_which_the_end_has(tools: FakeTools) -> None:
    tools.configurator = FakeConfigurator((ConfigurationFailed("the task has failed", next_step="fix it"),))

    ended = run_as_a_worker_does(provision, {"environment": "demo"})

    messages = [entry.message for entry in log_of(ended.id)]
    assert [message for message in messages if "the task has failed" in message] == messages[-1:]
    assert [message for message in messages if "configure hosts" in message and "failed" in message]


@pytest.mark.parametrize("where", ["task", "flow"])
def test_a_defect_has_its_traceback_once_and_an_end_like_any_other(
    tools: FakeTools, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("seven by nothing")

    if where == "task":
        monkeypatch.setattr(tools.configurator, "apply", fail)
    else:
        monkeypatch.setattr("flows.provision.require_approval", fail)

    ended = run_as_a_worker_does(provision, {"environment": "demo"})

    log = log_of(ended.id)
    assert log[-1].message.startswith("Failed: unexpected ZeroDivisionError: seven by nothing")
    assert "Next: " in log[-1].message
    traces = [entry.message for entry in log if "Traceback" in entry.message]
    assert ["seven by nothing" in trace for trace in traces] == [True]
    assert not [entry for entry in log if "FailedRun" in entry.message]


def test_a_user_flow_that_fails_by_itself_keeps_its_traceback() -> None:
    @flow(name="somebody-elses", persist_result=False)
    def run(number: int) -> None:
        raise RuntimeError(number)

    with get_client(sync_client=True) as client:
        created = client.create_flow_run(run, parameters={"number": 4711})
        with pytest.raises(RuntimeError):
            run_flow(run, flow_run=created, error_logger=flow_run_logger(created))  # type: ignore[arg-type] # an adapter

    assert [entry for entry in log_of(created.id) if "Traceback" in entry.message and "4711" in entry.message]


# What was done before it failed


def test_resources_that_a_failed_apply_has_made_are_in_the_report(tools: FakeTools) -> None:
    done = ApplyResult(changes=(BUCKET,), unchanged=0, outputs=StackOutputs(values={}))
    tools.engine = FakeStackEngine(plans=(PLAN,), applies=(ProgramFailed("the role is refused", done=done),))

    state = end_of(provision, "demo")

    report = report_of(ProvisionReport, state)
    assert (state.name, report.applied) == ("ProgramFailed", done)
    page = artifacts_of(state)["provision-report-demo"]
    assert "assets" in page
    assert "runner" not in page


def test_host_tasks_that_a_failed_playbook_has_changed_are_in_the_report(tools: FakeTools) -> None:
    host = HostSummary(host="web-1", ok=1, changed=1, failed=0, skipped=0)
    done = ConfigurationRun(check=False, hosts=(host,), results=(WRITTEN, BROKEN))
    tools.configurator = FakeConfigurator((ConfigurationFailed("a task failed", done=done),))

    state = end_of(provision, "demo")

    report = report_of(ProvisionReport, state)
    assert report.configured == done
    assert report.applied is not None
    assert report.verified is None
    assert [item.name for item in report.hosts] == ["web-1", "web-2"]
    page = artifacts_of(state)["provision-report-demo"]
    for shown in ("Write the page", "Start it", "no such unit"):
        assert shown in page


def test_what_a_second_run_has_changed_is_in_the_report(tools: FakeTools) -> None:
    again = CONFIGURED.model_copy(update={"results": (WRITTEN,)})
    tools.configurator = FakeConfigurator((CONFIGURED, again))

    state = end_of(provision, "demo")

    assert report_of(ProvisionReport, state).verified == again
    assert "Second configuration run" in artifacts_of(state)["provision-report-demo"]


def test_a_plan_that_needs_approval_is_shown_with_its_properties(tools: FakeTools, tmp_path: Path) -> None:
    delete = BUCKET.model_copy(update={"operation": Operation.REPLACE})
    tools.engine = FakeStackEngine(plans=(PLAN.model_copy(update={"changes": (delete,)}),))

    state = end_of(provision, "demo")

    assert state.name == "ApprovalRequired"
    report = report_of(ProvisionReport, state)
    assert report.plan is not None
    assert report.plan.changes == (delete,)
    assert report.applied is None
    page = artifacts_of(state)["provision-report-demo"]
    for shown in ("tags.Owner", "platform", "mallory", "d" * 64):
        assert shown in page
    (saved,) = (tmp_path / "reports").glob("*/provision.json")
    assert json.loads(saved.read_text())["plan"]["changes"][0]["changes"][0]["after"] == "mallory"


def test_traffic_steps_that_were_taken_back_are_in_the_report(tools: FakeTools) -> None:
    tools.prober = FakeProber({"front": (CheckOutcome.PASSED, CheckOutcome.FAILED)})

    report = report_of(ProvisionReport, end_of(provision, "demo"))

    assert report.verdict is not None
    assert report.traffic is not None
    assert report.traffic.before == report.traffic.after
    assert len(report.traffic.steps) == 2


def test_traffic_that_is_stranded_says_where_it_is(tools: FakeTools) -> None:
    gone = ServiceUnreachable("socket is gone")
    tools.switch = FakeTrafficSwitch({"standby": 100, "web-1": 0, "web-2": 0}, failures=(None, gone, gone))

    state = end_of(provision, "demo")

    report = report_of(ProvisionReport, state)
    assert state.name == "TrafficStranded"
    assert report.traffic is not None
    assert report.traffic.after == tools.switch.current


def test_each_broken_prerequisite_is_in_the_report(tools: FakeTools) -> None:
    tools.prerequisites = (Prerequisite(name="Vault login", outcome=PrerequisiteOutcome.BROKEN, detail="sealed"),)

    report = report_of(ProvisionReport, end_of(provision, "demo"))

    assert report.preflight is not None
    assert [item.name for item in report.preflight.broken] == ["Vault login"]


def test_a_run_that_is_ended_from_outside_says_how_far_it_came(
    tools: FakeTools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = CONFIGURED.model_copy(update={"results": (WRITTEN,)})

    def end(*_: object) -> ConfigurationRun:
        with keeping_done(lambda: done):
            raise KeyboardInterrupt

    tools.engine = FakeStackEngine(plans=(PLAN,), stack_outputs=(OUTPUTS,))
    monkeypatch.setattr(tools.configurator, "apply", end)

    with pytest.raises(KeyboardInterrupt):
        provision("demo")

    (saved,) = (tmp_path / "reports").glob("*/provision.json")
    report = ProvisionReport.model_validate_json(saved.read_text())
    assert report.outcome is not None
    assert report.outcome.state == "Interrupted"
    assert report.applied is not None
    assert report.configured == done
    assert [stage.name for stage in report.outcome.stages if stage.outcome is StageOutcome.CANCELLED] == [
        "configure hosts"
    ]
    assert load_report(saved.parent.name) == report


def test_a_run_that_takes_too_long_says_how_far_it_came(tools: FakeTools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools.configurator, "apply", lambda *_: time.sleep(30))

    state = end_of(provision.with_options(timeout_seconds=8), "demo")

    assert (state.name, state.type) == ("TimedOut", StateType.FAILED)
    report = report_of(ProvisionReport, state)
    assert report.applied is not None
    assert report.outcome is not None
    assert report.outcome.stages[-1].name == "configure hosts"


# Names and keys


@pytest.mark.parametrize(
    ("run", "argument", "name"),
    [
        (provision, "demo", "provision demo"),
        (drift, None, "drift fleet"),
        (drift, ["demo"], "drift demo"),
        (audit, ["demo", "other"], "audit demo, other"),
        (sweep, NO_VAULTS, "sweep"),
    ],
)
@pytest.mark.usefixtures("tools")
def test_a_run_is_named_by_what_it_is_about(run: Any, argument: Any, name: str) -> None:
    assert run_as_a_worker_does(run, parameters_of(run, argument)).name == name


def add_environment(fleet: Path, name: str) -> None:
    manifest = (fleet / "environments" / "demo.yaml").read_text()
    (fleet / "environments" / f"{name}.yaml").write_text(manifest.replace("name: demo", f"name: {name}", 1))


@pytest.mark.usefixtures("tools")
def test_each_environment_has_its_own_keys_and_a_selection_has_none(fleet: Path) -> None:
    add_environment(fleet, "other")
    add_environment(fleet, "third")

    whole, one, some = end_of(drift), end_of(drift, ["other"]), end_of(drift, ["other", "third"])

    pages = {f"drift-report-{name}" for name in ("demo", "other", "third")}
    assert set(artifacts_of(whole)) == {"drift-report", "drift-data", *pages}
    assert set(artifacts_of(one)) == {"drift-report-other", "drift-data-other"}
    assert {key for key in artifacts_of(some) if key.startswith("drift-")} == pages - {"drift-report-demo"}


@pytest.mark.usefixtures("tools")
def test_an_audit_of_one_environment_does_not_replace_what_is_kept_of_the_fleet(fleet: Path) -> None:
    add_environment(fleet, "other")

    assert "audit-sbom" in artifacts_of(end_of(audit))
    one = artifacts_of(end_of(audit, ["other"]))
    assert {"audit-report-other", "sbom-other"} <= set(one)
    assert "audit-sbom" not in one
    assert "audit-sbom" not in artifacts_of(end_of(audit, ["demo", "other"]))


def test_stages_name_their_environment_and_no_column_is_empty(tools: FakeTools, fleet: Path) -> None:
    add_environment(fleet, "other")

    page = artifacts_of(end_of(drift))["drift-report"]
    tools.configurator = FakeConfigurator(checks=(ConfigurationFailed("bad playbook"),))
    failing = artifacts_of(end_of(drift))["drift-report"]

    heading, _, *rows = page[page.index("| Stage |") :].splitlines()
    assert heading == "| Stage | Environment | Outcome | Seconds |"
    assert {row.split(" | ")[1] for row in rows} == {"demo", "other"}
    assert "| Stage | Environment | Outcome | Seconds | Summary |" in failing


# One broken environment hides no other


BREAKS: dict[str, Callable[[Path], object]] = {
    "empty": Path.touch,
    "not YAML": lambda path: path.write_text("name: ["),
    "short": lambda path: path.write_text("name: other\n"),
    "binary": lambda path: path.write_bytes(b"\x00\xff"),
    "folder": Path.mkdir,
    "dangling": lambda path: path.symlink_to("nowhere"),
    "pipe": os.mkfifo,
}


@pytest.mark.parametrize("make", BREAKS.values(), ids=BREAKS)
def test_one_broken_manifest_leaves_the_others_to_be_looked_at(
    tools: FakeTools, fleet: Path, make: Callable[[Path], object]
) -> None:
    make(fleet / "environments" / "broken.yaml")

    state = end_of(drift)

    assert (state.name, state.type) == ("Incomplete", StateType.FAILED)
    assert "broken" in (state.message or "")
    report = report_of(DriftReport, state)
    assert [(item.environment, item.verdict) for item in report.environments] == [
        ("broken", "unknown"),
        ("demo", "in_sync"),
    ]
    assert report.environments[0].not_checked[0].layer is None
    assert "broken.yaml" in report.environments[0].not_checked[0].reason
    assert "unknown" in artifacts_of(state)["drift-report-broken"], "its last page may have been a green one"
    assert tools.engine.calls == ["detect", "outputs"]


@pytest.mark.usefixtures("tools")
def test_a_manifest_that_is_called_yml_is_listed_and_not_passed_over(fleet: Path) -> None:
    (fleet / "environments" / "second.yml").write_text((fleet / "environments" / "demo.yaml").read_text())

    report = report_of(DriftReport, end_of(drift))

    assert [(item.environment, item.verdict) for item in report.environments] == [
        ("demo", "in_sync"),
        ("second", "unknown"),
    ]
    assert "second.yaml" in report.environments[1].not_checked[0].reason


def test_drift_beside_a_broken_manifest_is_drift_and_the_broken_one_is_listed(tools: FakeTools, fleet: Path) -> None:
    (fleet / "environments" / "broken.yaml").write_text("")
    drifted(tools)

    state = end_of(drift)

    assert state.name == "Drifted"
    assert "broken" in (state.message or "")


def test_the_audit_of_the_others_goes_on_beside_a_broken_manifest(tools: FakeTools, fleet: Path) -> None:
    alone = report_of(FleetAudit, end_of(audit))
    (fleet / "environments" / "broken.yaml").write_text("name: [")

    state = end_of(audit)

    report = report_of(FleetAudit, state)
    assert (state.name, report.counts.audited) == ("Incomplete", alone.counts.audited)
    assert [item.reason for item in report.not_audited if item.inventory == "broken: manifest"]
    vulnerable(tools)
    assert end_of(audit).name == "Vulnerable"


def test_findings_of_an_environment_whose_manifest_breaks_are_not_new_when_it_is_fixed(
    tools: FakeTools, fleet: Path
) -> None:
    vulnerable(tools)
    manifest = fleet / "environments" / "demo.yaml"
    add_environment(fleet, "other")
    other = fleet / "environments" / "other.yaml"
    other.write_text(other.read_text().replace("[app/requirements.txt]", "[app/other.txt]"))
    (fleet / "app" / "other.txt").write_text("demo-plain==1.0\n")
    whole = manifest.read_text()
    end_of(audit)

    manifest.write_text("name: [")
    without = report_of(FleetAudit, end_of(audit))
    manifest.write_text(whole)
    fixed = report_of(FleetAudit, end_of(audit))

    assert [len(without.changes.new), len(without.changes.fixed), len(without.changes.not_looked_at)] == [0, 0, 1]
    assert [len(fixed.changes.new), len(fixed.changes.known)] == [0, 1]


@pytest.mark.usefixtures("tools")
def test_a_fleet_of_which_nothing_can_be_read_is_rejected_and_names_all(fleet: Path) -> None:
    (fleet / "environments" / "demo.yaml").write_text("")
    (fleet / "environments" / "other.yaml").write_text("name: [")

    for run in (drift, audit):
        state = end_of(run)
        assert state.name == "Rejected"
        assert "demo.yaml" in (state.message or "")
        assert "other.yaml" in (state.message or "")


def test_a_defect_in_the_look_at_one_environment_hides_no_other(tools: FakeTools, fleet: Path) -> None:
    add_environment(fleet, "other")
    tools.engine = FakeStackEngine(
        refreshes=(ZeroDivisionError("by nothing"), tools.engine.detect()), stack_outputs=(OUTPUTS,)
    )

    report = report_of(DriftReport, end_of(drift))

    assert [(item.environment, item.verdict) for item in report.environments] == [
        ("demo", "unknown"),
        ("other", "in_sync"),
    ]
    assert "ZeroDivisionError" in report.environments[0].not_checked[0].reason


# Run once, whatever the settings say


@pytest.mark.parametrize("run", [provision, validate, drift, audit, sweep], ids=lambda run: str(run.name))
def test_flows_have_no_retries_whatever_the_default(tools: FakeTools, run: Any) -> None:
    assert run.retries == 0
    with temporary_settings({PREFECT_FLOW_DEFAULT_RETRIES: 2}):
        tools.engine = FakeStackEngine(plans=(ProgramFailed("no"),), stack_outputs=(ResourceMissing("no stack"),))
        assert run.with_options().retries == 0


# Reading reports


def test_a_parent_flow_gets_the_report_of_a_child_that_failed(tools: FakeTools) -> None:
    failing_check(tools)

    @flow(name="parent", persist_result=False)
    def parent() -> str:
        state = validate("demo", return_state=True)
        assert state.state_details.flow_run_id is not None
        report = load_report(state.state_details.flow_run_id)
        assert isinstance(report, ValidationReport)
        return report.verdict.reasons[0]

    assert "web-1" in parent()


def test_a_child_that_fails_without_return_state_raises_its_outcome(tools: FakeTools) -> None:
    failing_check(tools)

    with pytest.raises(FailedRun, match="web-1"):
        validate("demo")


def test_a_run_without_a_report_is_told_so() -> None:
    @flow(name="somebody-elses", persist_result=False)
    def other() -> None:
        return None

    state = end_of(other)

    with pytest.raises(ResourceMissing, match=str(state.state_details.flow_run_id)):
        load_report(str(state.state_details.flow_run_id))


def test_an_id_that_is_not_one_is_refused_by_name() -> None:
    with pytest.raises(RejectedError, match="not-a-run"):
        load_report("not-a-run")


@pytest.mark.usefixtures("tools")
def test_a_report_that_is_too_large_says_where_its_file_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(reports, "LIMIT_BYTES", 10)

    state = end_of(validate, "demo")

    with pytest.raises(ResourceMissing, match=re.escape(str(tmp_path))):
        load_report(str(state.state_details.flow_run_id))


@pytest.mark.usefixtures("tools")
def test_a_report_of_another_version_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    state = end_of(validate, "demo")
    monkeypatch.setattr(reports, "_MODELS", {"validate": SweepReport})

    with pytest.raises(RejectedError, match="version"):
        load_report(str(state.state_details.flow_run_id))


@pytest.mark.usefixtures("tools")
def test_a_worker_whose_disk_is_full_says_so_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOLDTRUE_REPORTS", str(tmp_path / "file"))

    state = end_of(validate, "demo")

    assert state.name == "Passed"
    assert report_of(ValidationReport, state).verdict.checks
    assert "validate.json" in caplog.text


@pytest.mark.usefixtures("tools")
def test_the_checks_are_kept_as_junit_too(tmp_path: Path) -> None:
    state = end_of(validate, "demo")

    report = report_of(ValidationReport, state)
    kept = reports.unpacked(json.loads(artifacts_of(state)["junit-demo"])["content"])
    assert kept == render_junit("demo", report.verdict.checks)
    assert next((tmp_path / "reports").glob("*/junit.xml")).read_text() == kept


@pytest.mark.usefixtures("tools")
def test_the_documented_command_gets_junit_out_of_prefect(tmp_path: Path) -> None:
    (command,) = (block for block in DOCUMENTED.read_text().split("\n```\n") if "artifact inspect junit-demo" in block)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PREFECT_API_URL": PREFECT_API_URL.value() or "",
        "PREFECT_HOME": str(tmp_path / "home"),
    }
    state = end_of(validate, "demo")

    subprocess.run(["sh", "-ec", command], env=environment, cwd=tmp_path, check=True)

    verdict = report_of(ValidationReport, state).verdict
    assert (tmp_path / "junit.xml").read_text() == render_junit("demo", verdict.checks)


@pytest.fixture
def wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDTRUE_CONNECT_TIMEOUT_SECONDS", "s3cret-in-the-wrong-place")


@pytest.mark.usefixtures("tools", "wrong_setting")
def test_a_wrong_setting_is_rejected_by_name_and_without_its_value() -> None:
    state = end_of(validate, "demo")

    assert (state.name, state.type) == ("Rejected", StateType.FAILED)
    assert "HOLDTRUE_CONNECT_TIMEOUT_SECONDS" in (state.message or "")
    assert "s3cret" not in (state.message or "")
