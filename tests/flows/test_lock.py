"""A provision writes only while its environment's lock is its own; flows that look take none."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from prefect.client.schemas.objects import State

from flows.drift import drift
from flows.provision import provision
from flows.validate import validate
from holdtrue.adapters.ledger import open_ledger
from holdtrue.errors import ProgramFailed, ServiceUnreachable
from holdtrue.models.drift import DriftReport
from holdtrue.models.lease import Holder
from holdtrue.models.ledger import Ledger
from holdtrue.models.lock import EnvironmentLock
from holdtrue.models.stack import Operation
from holdtrue.models.validation import CheckOutcome
from holdtrue.runtime.liveness import current_process
from holdtrue.testing import FakeConfigurator, FakeHostChecks, FakeProber, FakeStackEngine
from tests.flows.conftest import CONFIGURED, OUTPUTS, FakeTools
from tests.flows.runs import artifacts_of, end_of, report_of
from tests.flows.test_provision import STANDBY, plan


@pytest.fixture
def ledger(fleet: Path) -> Ledger:  # noqa: ARG001 - which names the ledger too
    return open_ledger(os.environ["HOLDTRUE_LEDGER_URL"])


def lock_for_another_run(ledger: Ledger, run_name: str = "the-other-run") -> EnvironmentLock:
    """Held by a run of this process, which lives."""
    now = datetime.now(UTC)
    holder = Holder(
        id=uuid4(),
        run="its-id",
        run_name=run_name,
        flow="provision",
        process=current_process(),
        opened_at=now,
        beat_at=now,
        closed_at=None,
    )
    ledger.open_holder(holder)
    lock = ledger.locks.acquire("demo", holder.id)
    assert lock is not None
    return lock


def set_wait(fleet: Path, seconds: int) -> None:
    path = fleet / "environments" / "demo.yaml"
    manifest = yaml.safe_load(path.read_text())
    manifest["policy"]["lock_wait_seconds"] = seconds
    path.write_text(yaml.safe_dump(manifest))


def free(ledger: Ledger) -> bool:
    lock = ledger.locks.find("demo")
    return lock is None or lock.holder is None


# Taken and released


def test_a_provision_holds_the_lock_while_it_works_and_releases_it(tools: FakeTools, ledger: Ledger) -> None:
    held: list[EnvironmentLock | None] = []
    tools.configurator = watched(tools.configurator, lambda: held.append(ledger.locks.find("demo")))

    state = end_of(provision, "demo")

    assert state.name == "Provisioned", state.message
    assert "lock environment" in artifacts_of(state)["provision-report-demo"]
    (first, second) = held
    assert first is not None
    assert first.holder is not None
    assert first.holder.run == str(state.state_details.flow_run_id)
    assert first.holder.flow == "provision"
    assert second is not None
    assert (second.fence, second.holder) == (first.fence, first.holder)
    assert free(ledger)
    end_of(provision, "demo")
    last = ledger.locks.find("demo")
    assert last is not None
    assert last.fence == first.fence + 1


@pytest.mark.parametrize("error", [ProgramFailed("raised"), ZeroDivisionError("a bug")])
def test_a_run_that_fails_releases_it_too(tools: FakeTools, ledger: Ledger, error: Exception) -> None:
    tools.engine = FakeStackEngine(plans=(error,))

    assert end_of(provision, "demo").is_failed()

    assert ledger.locks.find("demo") is not None
    assert free(ledger)


@pytest.mark.usefixtures("tools")
def test_flows_that_look_take_no_lock_and_wait_for_none(ledger: Ledger) -> None:
    lock = lock_for_another_run(ledger)

    assert end_of(validate, "demo").name == "Passed"
    looked = end_of(drift, ["demo"])
    assert looked.name == "Incomplete", "what is being changed cannot be judged"
    assert "the-other-run" in (looked.message or "")

    found = ledger.locks.find("demo")
    assert found is not None
    assert found.fence == lock.fence


def test_drift_of_an_environment_that_changed_hands_while_it_was_looked_at_is_unknown(
    tools: FakeTools, ledger: Ledger
) -> None:
    def provision_meanwhile() -> None:
        ledger.locks.release("demo", lock_for_another_run(ledger).fence)

    assert end_of(drift).name == "InSync"
    tools.configurator = watched(tools.configurator, provision_meanwhile, before="check")

    state = end_of(drift)

    assert state.name == "Incomplete"
    (found,) = report_of(DriftReport, state).environments
    assert (found.verdict, found.not_checked[0].layer) == ("unknown", None)
    tools.configurator = FakeConfigurator(checks=(CONFIGURED,))
    assert end_of(drift).name == "InSync"


# Locked out


def test_who_is_locked_out_changes_nothing_and_names_the_holder(tools: FakeTools, ledger: Ledger, fleet: Path) -> None:
    set_wait(fleet, 0)
    lock = lock_for_another_run(ledger)

    state = end_of(provision, "demo")

    assert (state.name, state.is_failed()) == ("EnvironmentLocked", True)
    for named in ("the-other-run", "its-id", str(os.getpid()), "demo", f"fence {lock.fence}"):
        assert named in (state.message or "")
    assert "Next: " in (state.message or "")
    assert nothing_done(tools)
    found = ledger.locks.find("demo")
    assert found is not None
    assert found.holder is not None
    assert found.holder.run_name == "the-other-run"


def test_a_ledger_that_is_away_is_told_and_nothing_is_changed(
    tools: FakeTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", "postgresql+psycopg://user:pass-word@127.0.0.1:9/ledger")

    state = end_of(provision, "demo")

    assert (state.name, state.is_failed()) == ("Unavailable", True)
    assert "127.0.0.1:9" in (state.message or "")
    assert "pass-word" not in (state.message or "")
    assert nothing_done(tools)


def nothing_done(tools: FakeTools) -> bool:
    return not (tools.engine.calls or tools.configurator.calls or tools.switch.requests)


# Lost on the way


@pytest.fixture
def lose(ledger: Ledger) -> Iterator[Callable[[], None]]:
    """Let another run have the lock, as after a person's `holdtrue unlock`."""

    def give_away() -> None:
        lock = ledger.locks.find("demo")
        assert lock is not None
        assert ledger.locks.release("demo", lock.fence)
        lock_for_another_run(ledger)

    yield give_away
    found = ledger.locks.find("demo")
    assert found is not None
    assert found.holder is not None, "the run's end has released a lock that is not its own"
    assert found.holder.run_name == "the-other-run"


def watched(fake: Any, act: Callable[[], None], *, before: str = "apply", call: int = 0) -> Any:
    """The fake, which first acts when the method is called; at its `call`-th call only, unless that is 0."""
    method, calls = getattr(fake, before), []

    def act_first(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if call in (0, len(calls)):
            act()
        return method(*args, **kwargs)

    setattr(fake, before, act_first)
    return fake


def require_lost(state: State[Any]) -> None:
    assert (state.name, state.is_failed()) == ("LockLost", True), state.message
    assert "the-other-run" in (state.message or "")


def test_a_lock_lost_before_the_apply_keeps_the_stack_as_it_is(tools: FakeTools, lose: Callable[[], None]) -> None:
    engine = FakeStackEngine(plans=(plan(Operation.CREATE),), stack_outputs=(OUTPUTS,))
    tools.engine = watched(engine, lose, before="preview")

    require_lost(end_of(provision, "demo"))

    assert engine.calls == ["preview"]
    assert tools.configurator.calls == []


def test_a_lock_lost_while_the_stack_is_applied_keeps_the_hosts_as_they_are(
    tools: FakeTools, lose: Callable[[], None]
) -> None:
    tools.engine = watched(FakeStackEngine(plans=(plan(Operation.CREATE),), stack_outputs=(OUTPUTS,)), lose)

    require_lost(end_of(provision, "demo"))

    assert tools.configurator.calls == []


def test_a_lock_lost_while_hosts_are_configured_stops_the_second_run(
    tools: FakeTools, lose: Callable[[], None]
) -> None:
    tools.configurator = watched(FakeConfigurator((CONFIGURED,)), lose, call=1)

    require_lost(end_of(provision, "demo"))

    assert tools.configurator.calls == ["apply"]
    assert tools.switch.requests == []


def test_a_lock_lost_while_hosts_are_checked_moves_no_traffic(tools: FakeTools, lose: Callable[[], None]) -> None:
    tools.checks = watched(FakeHostChecks(), lose, before="run")

    require_lost(end_of(provision, "demo"))

    assert tools.switch.requests == []


def in_front(act: Callable[[], None]) -> FakeProber:
    """A prober whose first question through the load balancer finds something else happening."""
    prober = FakeProber({"front": (CheckOutcome.PASSED,)})
    ask = prober.probe

    def probe(*args: Any, **kwargs: Any) -> Any:
        if kwargs["target"] == "web" and "front" not in [name for _, name, _ in prober.asked]:
            act()
        return ask(*args, **kwargs)

    prober.probe = probe  # type: ignore[method-assign] # a fake of a fake
    return prober


def test_a_lock_lost_between_traffic_steps_puts_back_what_this_run_has_set(
    tools: FakeTools, lose: Callable[[], None]
) -> None:
    tools.prober = in_front(lose)

    require_lost(end_of(provision, "demo"))

    assert len(tools.switch.requests) == 2, "one step, and the way back"
    assert tools.switch.current == STANDBY


def test_weights_that_the_new_holder_has_set_since_are_left_alone(tools: FakeTools, lose: Callable[[], None]) -> None:
    of_the_other = {"standby": 7, "web-1": 70, "web-2": 70}

    def lose_and_let_the_other_move() -> None:
        lose()
        tools.switch.current.update(of_the_other)

    tools.prober = in_front(lose_and_let_the_other_move)

    require_lost(end_of(provision, "demo"))

    assert len(tools.switch.requests) == 1
    assert tools.switch.current == of_the_other


def test_a_ledger_that_goes_away_between_traffic_steps_puts_traffic_back(
    tools: FakeTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_sight(*_: object) -> None:
        raise ServiceUnreachable("the ledger does not answer", next_step="start it")

    def go_away() -> None:
        monkeypatch.setattr("holdtrue.adapters.ledger.locks.SqlLocks.find", lose_sight)

    tools.prober = in_front(go_away)

    state = end_of(provision, "demo")

    assert state.name == "TrafficRestored"
    assert tools.switch.current == STANDBY
