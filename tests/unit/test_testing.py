"""The shipped fakes fit their seams, answer in order and record what they were asked."""

import pytest

from holdtrue.errors import HostUnreachable, ResourceMissing, ServiceUnreachable
from holdtrue.models.base import Progress
from holdtrue.models.configuration import Configurator
from holdtrue.models.dependency import Pin
from holdtrue.models.environment import HttpProbe
from holdtrue.models.host import Host
from holdtrue.models.osv import AdvisorySource
from holdtrue.models.stack import Operation, Plan, ResourceChange, StackEngine, StackOutputs
from holdtrue.models.traffic import TrafficSwitch
from holdtrue.models.validation import CheckOutcome, CheckResult, HostChecks, Prober
from holdtrue.testing import (
    NO_CHANGES,
    FakeAdvisorySource,
    FakeConfigurator,
    FakeHostChecks,
    FakeProber,
    FakeStackEngine,
    FakeTrafficSwitch,
)

_HOST = Host(name="web-1", address="127.0.0.1", user="deploy")
_PROBE = HttpProbe(name="health", url="http://{address}/")
_PIN = Pin("demo-a", "1.0")
_PLAN = Plan(
    stack="demo",
    changes=(ResourceChange(urn="urn:a::b", type="t", operation=Operation.CREATE),),
    unchanged=0,
    digest="1" * 64,
)


def test_every_fake_fits_its_seam() -> None:
    engine: StackEngine = FakeStackEngine()
    configurator: Configurator = FakeConfigurator()
    checks: HostChecks = FakeHostChecks()
    prober: Prober = FakeProber()
    switch: TrafficSwitch = FakeTrafficSwitch({"web-1": 0})
    source: AdvisorySource = FakeAdvisorySource()
    assert engine.preview() == NO_CHANGES
    assert engine.detect().changes == ()
    assert engine.outputs().values == {}
    assert configurator.apply().check is False
    assert configurator.check().check is True
    assert [result.outcome for result in checks.run([_HOST])] == [CheckOutcome.PASSED]
    assert prober.probe(_PROBE, url="http://127.0.0.1/", target="web-1").outcome is CheckOutcome.PASSED
    assert switch.weights() == {"web-1": 0}
    assert source.ask([_PIN]).matches == {}


def test_a_stack_does_what_its_plan_says() -> None:
    engine = FakeStackEngine(plans=[_PLAN, NO_CHANGES], stack_outputs=[StackOutputs(values={"hosts": []})])
    result = engine.apply(engine.preview())
    assert (result.changes, result.outputs.values) == (_PLAN.changes, {"hosts": []})
    assert engine.preview() == NO_CHANGES
    assert engine.applied == [_PLAN]
    assert engine.calls == ["preview", "apply", "preview"]


def test_answers_come_in_order_and_the_last_one_stays() -> None:
    engine = FakeStackEngine(plans=[ServiceUnreachable("down"), _PLAN])
    with pytest.raises(ServiceUnreachable):
        engine.preview()
    assert [engine.preview(), engine.preview()] == [_PLAN, _PLAN]


def test_a_configurator_fails_as_scripted() -> None:
    configurator = FakeConfigurator(applies=[HostUnreachable("web-1")])
    with pytest.raises(HostUnreachable):
        configurator.apply()
    assert configurator.calls == ["apply"]


def test_host_checks_give_their_runs_and_report_progress() -> None:
    failed = CheckResult(target="web-1", name="a", kind="testinfra", outcome=CheckOutcome.FAILED)
    checks, seen = FakeHostChecks(runs=[[failed], []]), list[Progress]()
    assert checks.run([_HOST], seen.append) == (failed,)
    assert checks.run([_HOST]) == ()
    assert checks.asked == [("web-1",), ("web-1",)]
    assert [(line.done, line.total) for line in seen] == [(1, 1)]


def test_probes_answer_by_target_then_by_name() -> None:
    prober = FakeProber({"web-1": [CheckOutcome.FAILED, CheckOutcome.PASSED], "health": [CheckOutcome.ERROR]})
    outcomes = [prober.probe(_PROBE, url="u", target=target).outcome for target in ("web-1", "web-1", "web-2")]
    assert outcomes == [CheckOutcome.FAILED, CheckOutcome.PASSED, CheckOutcome.ERROR]
    assert prober.asked[0] == ("web-1", "health", "u")


def test_a_switch_keeps_weights_or_fails_whole() -> None:
    switch = FakeTrafficSwitch({"standby": 100, "web-1": 0}, failures=[None, ServiceUnreachable("gone"), None])
    switch.set_weights({"web-1": 10})
    with pytest.raises(ServiceUnreachable):
        switch.set_weights({"web-1": 50})
    with pytest.raises(ResourceMissing):
        switch.set_weights({"web-1": 50, "web-9": 50})
    assert switch.weights() == {"standby": 100, "web-1": 10}
    assert len(switch.requests) == 3


def test_an_advisory_source_answers_by_package_and_fails_as_scripted() -> None:
    source = FakeAdvisorySource({"demo-a": ("PYSEC-1", "PYSEC-2")}, failures=[ServiceUnreachable("down"), None])
    with pytest.raises(ServiceUnreachable):
        source.ask([_PIN])
    answer = source.ask([_PIN, Pin("demo-b", "1.0")])
    assert {pin: [match.advisory.id for match in found] for pin, found in answer.matches.items()} == {
        _PIN: ["PYSEC-1", "PYSEC-2"]
    }
    assert answer.unanswered == {}
    assert source.asked == [(_PIN,), (_PIN, Pin("demo-b", "1.0"))]
