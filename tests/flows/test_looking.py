"""The flows that only look: validate and drift. The audit is in test_audit.py."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from prefect.client.schemas.objects import StateType

from flows.audit import audit
from flows.drift import drift
from flows.validate import validate
from holdtrue.errors import AccessDenied, ConfigurationFailed, ResourceMissing
from holdtrue.models.configuration import TaskOutcome, TaskResult
from holdtrue.models.stack import Operation, RefreshResult, ResourceChange
from holdtrue.models.validation import CheckOutcome, CheckResult
from holdtrue.testing import FakeConfigurator, FakeHostChecks, FakeProber, FakeStackEngine
from tests.flows.conftest import CONFIGURED, OUTPUTS, FakeTools
from tests.flows.runs import artifacts_of, end_of

BUCKET = "urn:pulumi:demo::d::aws:Bucket::assets"
GONE = RefreshResult(
    changes=(ResourceChange(urn=BUCKET, type="aws:Bucket", operation=Operation.DELETE),), checked=(BUCKET,)
)
FAILED_CHECK = CheckResult(target="web-1", name="service", kind="testinfra", outcome=CheckOutcome.FAILED, detail="down")


def test_validate_passes_with_junit_and_a_table(tools: FakeTools, tmp_path: Path) -> None:
    state = end_of(validate, "demo")

    assert (state.name, state.type) == ("Passed", StateType.COMPLETED)
    (junit,) = (tmp_path / "reports").glob("*/junit.xml")
    cases = list(ET.parse(junit).iter("testcase"))  # noqa: S314 - our own file
    assert len(cases) == 6
    assert set(artifacts_of(state)) == {"checks-demo", "junit-demo", "validate-data-demo", "validate-report-demo"}
    assert tools.engine.calls == ["outputs"]


def test_a_failed_check_is_an_outcome(tools: FakeTools) -> None:
    tools.checks = FakeHostChecks(runs=((FAILED_CHECK,),))

    state = end_of(validate, "demo")

    assert (state.name, state.type) == ("ChecksFailed", StateType.FAILED)
    assert "web-1" in (state.message or "")


def test_a_host_that_cannot_be_reached_is_incomplete_and_the_others_are_checked(tools: FakeTools) -> None:
    tools.unreachable = frozenset({"web-1"})

    state = end_of(validate, "demo")

    assert (state.name, state.type) == ("Incomplete", StateType.FAILED)
    assert tools.checks.asked == [("web-2",)]
    assert "web-1" in (state.message or "")


def test_nothing_checked_is_incomplete(tools: FakeTools) -> None:
    tools.checks = FakeHostChecks(runs=((),))
    tools.prober = FakeProber({"health": (CheckOutcome.SKIPPED,)})

    assert end_of(validate, "demo").name == "Incomplete"


@pytest.mark.parametrize(
    "error",
    [ResourceMissing("no stack"), AccessDenied("denied"), ConfigurationFailed("x")],
    ids=lambda e: type(e).__name__,
)
def test_an_error_while_looking_is_incomplete(tools: FakeTools, error: Exception) -> None:
    tools.engine = FakeStackEngine(stack_outputs=(error,))

    assert end_of(validate, "demo").name == "Incomplete"


@pytest.mark.usefixtures("tools")
def test_bad_input_is_rejected_by_every_flow() -> None:
    states = [end_of(validate, "nowhere"), end_of(drift, ["nowhere"]), end_of(audit, ["nowhere"])]

    assert [state.name for state in states] == ["Rejected"] * 3


def test_drift_in_sync(tools: FakeTools) -> None:
    state = end_of(drift)

    assert (state.name, state.type) == ("InSync", StateType.COMPLETED)
    assert tools.engine.calls == ["detect", "outputs"]
    assert tools.configurator.calls == ["check"]


def test_drift_in_every_layer_is_one_report(tools: FakeTools) -> None:
    changed = TaskResult(host="web-2", task="Write the configuration", outcome=TaskOutcome.CHANGED)
    tools.engine = FakeStackEngine(refreshes=(GONE,), stack_outputs=(OUTPUTS,))
    tools.configurator = FakeConfigurator(checks=(CONFIGURED.model_copy(update={"results": (changed,)}),))
    tools.checks = FakeHostChecks(runs=((FAILED_CHECK,),))

    state = end_of(drift, ["demo"])

    assert (state.name, state.type) == ("Drifted", StateType.FAILED)
    report = artifacts_of(state)["drift-report-demo"]
    for named in ("assets", "web-2", "Write the configuration", "web-1", "service"):
        assert named in report


def test_a_layer_that_cannot_be_looked_at_makes_the_verdict_unknown_and_hides_no_other(tools: FakeTools) -> None:
    tools.configurator = FakeConfigurator(checks=(ConfigurationFailed("bad playbook"),))

    state = end_of(drift)

    assert (state.name, state.type) == ("Incomplete", StateType.FAILED)
    assert "bad playbook" in artifacts_of(state)["drift-report"]
    assert tools.checks.asked == [("web-1", "web-2")]


def test_drift_found_beside_an_unknown_layer_is_still_drift(tools: FakeTools) -> None:
    tools.engine = FakeStackEngine(refreshes=(GONE,), stack_outputs=(ResourceMissing("no outputs"),))

    state = end_of(drift)

    assert state.name == "Drifted"
    assert "no outputs" in artifacts_of(state)["drift-report"]


def test_an_ignore_rule_in_the_manifest_hides_known_drift(tools: FakeTools, fleet: Path) -> None:
    tools.engine = FakeStackEngine(refreshes=(GONE,), stack_outputs=(OUTPUTS,))
    manifest = fleet / "environments" / "demo.yaml"
    rule = 'ignore: [{layer: infrastructure, target: "*assets", reason: known, owner: sre, expires: 2999-01-01}]'
    manifest.write_text(manifest.read_text().replace("drift:\n", f"drift:\n  {rule}\n"))

    assert end_of(drift).name == "InSync"
