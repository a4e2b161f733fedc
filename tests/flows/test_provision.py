from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import StateType

from flows.provision import provision
from holdtrue.errors import (
    ConfigurationFailed,
    HostUnreachable,
    ProgramFailed,
    ProgramTestsFailed,
    ServiceUnreachable,
    StackLocked,
)
from holdtrue.models.configuration import TaskOutcome, TaskResult
from holdtrue.models.preflight import Prerequisite, PrerequisiteOutcome
from holdtrue.models.stack import Operation, Plan, PropertyChange, ResourceChange
from holdtrue.models.traffic import OutOfService
from holdtrue.models.validation import CheckOutcome
from holdtrue.testing import FakeConfigurator, FakeHostChecks, FakeProber, FakeStackEngine, FakeTrafficSwitch
from tests.flows.conftest import CONFIGURED, OUTPUTS, FakeTools
from tests.flows.runs import artifacts_of, end_of

STANDBY = {"standby": 100, "web-1": 0, "web-2": 0}
ON_HOSTS = {"standby": 0, "web-1": 240, "web-2": 240}
TASK_CHANGED = TaskResult(host="web-2", task="Append a line", outcome=TaskOutcome.CHANGED)
CHANGED = CONFIGURED.model_copy(update={"results": (TASK_CHANGED,)})


def plan(operation: Operation, digest: str = "d1") -> Plan:
    tags = PropertyChange(path="tags.Owner", before="a", after="b")
    change = ResourceChange(
        urn="urn:pulumi:demo::d::aws:Bucket::assets", type="aws:Bucket", operation=operation, changes=(tags,)
    )
    return Plan(stack="demo", changes=(change,), unchanged=3, digest=digest)


def test_a_first_provision_moves_traffic_in_steps_and_tells_the_whole_story(tools: FakeTools) -> None:
    tools.engine = FakeStackEngine(plans=(plan(Operation.CREATE),), stack_outputs=(OUTPUTS,))
    tools.configurator = FakeConfigurator((CHANGED, CONFIGURED))

    state = end_of(provision, "demo")

    assert (state.name, state.type) == ("Provisioned", StateType.COMPLETED)
    assert tools.engine.calls == ["preview", "apply"]
    assert tools.engine.applied == [plan(Operation.CREATE)]
    assert tools.configurator.calls == ["apply", "apply"]
    assert tools.checks.asked == [("web-1", "web-2")]
    assert [sum(step.values()) > 0 for step in tools.switch.requests] == [True, True, True]
    assert tools.switch.current == ON_HOSTS
    report = artifacts_of(state)["provision-report-demo"]
    for shown in ("assets", "tags.Owner", "Append a line", "web-1", "shift traffic"):
        assert shown in report
    assert "checks-demo" in artifacts_of(state)


def test_an_unchanged_environment_is_said_to_be_one(tools: FakeTools) -> None:
    tools.switch = FakeTrafficSwitch(dict(ON_HOSTS))

    state = end_of(provision, "demo")

    assert state.name == "Unchanged"
    assert tools.switch.requests == []


def broken(tools: FakeTools, **changes: Any) -> None:
    for name, value in changes.items():
        setattr(tools, name, value)


def raising(error: Exception) -> Any:
    def answer() -> None:
        raise error

    return answer


NO_VAULT = Prerequisite(name="Vault login", outcome=PrerequisiteOutcome.BROKEN, detail="sealed", next_step="unseal")
NO_TOOL = Prerequisite(name="tool pulumi", outcome=PrerequisiteOutcome.BROKEN, detail="not there")
SKIPS = FakeProber({"health": (CheckOutcome.SKIPPED,)})
FAILS = FakeProber({"health": (CheckOutcome.FAILED,)})
BOOM = FakeStackEngine(plans=(plan(Operation.CREATE),), applies=(ProgramFailed("boom"),))
BEFORE_APPLY: list[tuple[str, dict[str, Any], str, list[str]]] = [
    ("preflight", {"prerequisites": (NO_VAULT, NO_TOOL)}, "PreflightFailed", []),
    ("program tests", {"program_tests": raising(ProgramTestsFailed("2 failed"))}, "TestsFailed", []),
    ("program", {"engine": FakeStackEngine(plans=(ProgramFailed("raised"),))}, "ProgramFailed", ["preview"]),
]
AFTER_APPLY: list[tuple[str, dict[str, Any], str]] = [
    ("apply", {"engine": BOOM}, "ProgramFailed"),
    ("configure", {"configurator": FakeConfigurator((ConfigurationFailed("syntax"),))}, "ConfigurationFailed"),
    ("host gone", {"configurator": FakeConfigurator((HostUnreachable("web-1"),))}, "Unavailable"),
    ("idempotency", {"configurator": FakeConfigurator((CHANGED, CHANGED))}, "NotIdempotent"),
    ("zero checks", {"checks": FakeHostChecks(runs=((),)), "prober": SKIPS}, "Inconclusive"),
    ("unreachable host", {"unreachable": frozenset({"web-2"})}, "Inconclusive"),
    ("failing probe", {"prober": FAILS}, "ValidationFailed"),
    ("no hosts", {"engine": FakeStackEngine()}, "Rejected"),
]
FAILURES = [*BEFORE_APPLY, *((*case, ["preview", "apply"]) for case in AFTER_APPLY)]


@pytest.mark.parametrize(
    ("changes", "state_name", "engine_calls"), [case[1:] for case in FAILURES], ids=[case[0] for case in FAILURES]
)
def test_each_stage_ends_in_its_own_state_and_traffic_stays(
    tools: FakeTools, changes: dict[str, Any], state_name: str, engine_calls: list[str]
) -> None:
    broken(tools, **changes)

    state = end_of(provision, "demo")

    assert (state.name, state.type) == (state_name, StateType.FAILED)
    assert tools.engine.calls == engine_calls
    assert tools.switch.requests == []
    assert tools.switch.current == STANDBY
    assert state.message
    assert state_name in artifacts_of(state)["provision-report-demo"]


def test_each_broken_prerequisite_is_a_line(tools: FakeTools) -> None:
    broken(tools, **FAILURES[0][1])

    lines = (end_of(provision, "demo").message or "").splitlines()

    assert [line for line in lines if "Vault login" in line and "unseal" in line]
    assert [line for line in lines if "tool pulumi" in line]


def test_a_task_that_changes_twice_is_named_with_its_host(tools: FakeTools) -> None:
    tools.configurator = FakeConfigurator((CONFIGURED, CHANGED))

    message = end_of(provision, "demo").message or ""

    assert "web-2" in message
    assert "Append a line" in message


def test_a_probe_that_fails_after_a_step_puts_traffic_back(tools: FakeTools) -> None:
    tools.prober = FakeProber({"front": (CheckOutcome.PASSED, CheckOutcome.FAILED)})

    state = end_of(provision, "demo")

    assert state.name == "TrafficRestored"
    assert len(tools.switch.requests) == 3
    assert tools.switch.current == STANDBY


def test_a_switch_that_fails_in_the_middle_is_put_back(tools: FakeTools) -> None:
    tools.switch = FakeTrafficSwitch(dict(STANDBY), failures=(None, ServiceUnreachable("hangs"), None))

    assert end_of(provision, "demo").name == "TrafficRestored"
    assert tools.switch.current == STANDBY


def test_a_switch_that_cannot_be_put_back_says_which_weights_to_set(tools: FakeTools) -> None:
    gone = ServiceUnreachable("socket is gone")
    tools.switch = FakeTrafficSwitch(dict(STANDBY), failures=(None, gone, gone))

    state = end_of(provision, "demo")

    assert state.name == "TrafficStranded"
    assert "standby=100" in (state.message or "")


@pytest.mark.parametrize("operation", [Operation.DELETE, Operation.REPLACE])
def test_a_destructive_plan_needs_its_own_digest(tools: FakeTools, operation: Operation) -> None:
    tools.engine = FakeStackEngine(plans=(plan(operation),), stack_outputs=(OUTPUTS,))

    refused = end_of(provision, "demo")
    wrong = end_of(provision, "demo", approved_plan="another")
    allowed = end_of(provision, "demo", approved_plan="d1")

    assert [refused.name, wrong.name, allowed.name] == ["ApprovalRequired", "ApprovalRequired", "Provisioned"]
    assert "d1" in (refused.message or "")
    assert "assets" in (refused.message or "")
    assert len(tools.engine.applied) == 1


def test_a_plan_larger_than_the_policy_is_rejected(tools: FakeTools, fleet: Path) -> None:
    manifest = fleet / "environments" / "demo.yaml"
    manifest.write_text(manifest.read_text().replace("policy:\n", "policy:\n  max_changes: 0\n"))
    tools.engine = FakeStackEngine(plans=(plan(Operation.UPDATE),), stack_outputs=(OUTPUTS,))

    assert end_of(provision, "demo").name == "Rejected"
    assert tools.engine.applied == []


def test_a_transient_failure_of_a_read_is_retried_and_of_an_apply_is_not(
    tools: FakeTools,
) -> None:
    tools.engine = FakeStackEngine(
        plans=(StackLocked("held"), plan(Operation.CREATE)), applies=(StackLocked("held"),), stack_outputs=(OUTPUTS,)
    )

    state = end_of(provision, "demo")

    assert state.name == "Unavailable"
    assert tools.engine.calls == ["preview", "preview", "apply"]


def test_a_permanent_failure_of_a_read_is_not_retried(tools: FakeTools) -> None:
    tools.engine = FakeStackEngine(plans=(ProgramFailed("raised"), plan(Operation.CREATE)))

    end_of(provision, "demo")

    assert tools.engine.calls == ["preview"]


@pytest.mark.parametrize("name", ["production", "../demo", ""])
def test_an_unknown_environment_is_rejected_before_anything_runs(tools: FakeTools, name: str) -> None:
    state = end_of(provision, name)

    assert state.name == "Rejected"
    assert tools.engine.calls == []


@pytest.mark.usefixtures("tools")
def test_a_wrong_manifest_is_rejected_with_file_line_and_field(fleet: Path) -> None:
    manifest = fleet / "environments" / "demo.yaml"
    manifest.write_text(manifest.read_text().replace("  stack: demo", "  stakc: demo"))

    state = end_of(provision, "demo")

    assert state.name == "Rejected"
    assert f"{manifest}:" in (state.message or "")
    assert "infrastructure.stakc" in (state.message or "") or "infrastructure.stack" in (state.message or "")


def test_our_own_bug_is_a_plain_failure_and_traffic_stays(tools: FakeTools) -> None:
    tools.configurator = FakeConfigurator((ZeroDivisionError("bug"),))

    state = end_of(provision, "demo")

    assert (state.name, state.type) == ("Failed", StateType.FAILED)
    assert tools.switch.requests == []


MAINTENANCE = OutOfService(state="in maintenance (MAINT)", by_operator=True, next_step="say `state ready`")
DOWN = OutOfService(state="down (DOWN)", by_operator=False, next_step="look at its check")


@pytest.mark.parametrize("current", [STANDBY, ON_HOSTS])
def test_traffic_is_not_moved_to_a_host_that_gets_no_request(tools: FakeTools, current: dict[str, int]) -> None:
    tools.switch = FakeTrafficSwitch(dict(current), idle=({"web-2": MAINTENANCE},))

    state = end_of(provision, "demo")

    assert state.name == "TrafficRefused"
    for named in ("web-2", MAINTENANCE.state, MAINTENANCE.next_step):
        assert named in (state.message or "")
    assert (tools.switch.requests, tools.switch.current) == ([], current)
    page = artifacts_of(state)["provision-report-demo"]
    assert "web-2 got no request" in page
    assert "traffic moved" not in page


def test_a_host_that_comes_up_in_time_gets_its_traffic(tools: FakeTools) -> None:
    tools.switch = FakeTrafficSwitch(dict(STANDBY), idle=({"web-2": DOWN}, {}))

    assert end_of(provision, "demo").name == "Provisioned"
    assert tools.switch.current == ON_HOSTS


def test_a_host_that_stays_down_gets_none(tools: FakeTools, fleet: Path) -> None:
    manifest = fleet / "environments" / "demo.yaml"
    manifest.write_text(manifest.read_text().replace("traffic:\n", "traffic:\n  health_wait_seconds: 0\n"))
    tools.switch = FakeTrafficSwitch(dict(STANDBY), idle=({"web-1": DOWN},))

    state = end_of(provision, "demo")

    assert state.name == "TrafficRefused"
    assert "web-1" in (state.message or "")
    assert tools.switch.requests == []


@pytest.mark.parametrize("reason", [MAINTENANCE, DOWN])
def test_a_host_that_stops_serving_while_traffic_moves_sends_it_back_at_once(
    tools: FakeTools, reason: OutOfService
) -> None:
    tools.switch = FakeTrafficSwitch(dict(STANDBY), idle=({}, {}, {"web-1": reason}))

    state = end_of(provision, "demo")

    assert state.name == "TrafficRestored"
    for named in ("web-1", reason.state, reason.next_step):
        assert named in (state.message or "")
    assert tools.switch.current == STANDBY
    assert tools.switch.looks == 3, "going back does not look at states"


def test_another_server_out_of_service_does_not_keep_traffic_from_leaving_it(tools: FakeTools) -> None:
    tools.switch = FakeTrafficSwitch(dict(STANDBY), idle=({"standby": DOWN},))

    state = end_of(provision, "demo")

    assert state.name == "Provisioned"
    assert tools.switch.current == ON_HOSTS
    assert "standby got no request" in artifacts_of(state)["provision-report-demo"]


def test_a_placeholder_that_the_apply_did_not_fill_is_named_before_the_hosts_are_configured(
    tools: FakeTools, fleet: Path
) -> None:
    manifest = fleet / "environments" / "demo.yaml"
    manifest.write_text(manifest.read_text().replace("{load_balancer_url}/", "{load_balancer_uri}/"))

    state = end_of(provision, "demo")

    assert state.name == "Rejected"
    for named in ("traffic.probes[front].url", "{load_balancer_uri}"):
        assert named in (state.message or "")
    assert tools.configurator.calls == []
