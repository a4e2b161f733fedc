"""A run that loses the process which started it ends in order; one that nobody started goes on."""

import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from prefect.client.schemas.objects import StateType
from prefect.exceptions import TerminationSignal

import tasks.run
import tasks.worker
from flows.provision import provision
from holdtrue.models.report import ProgramTests
from holdtrue.runtime.liveness import identify
from tests.flows.conftest import FakeTools
from tests.flows.runs import end_of


@pytest.fixture
def starter(monkeypatch: pytest.MonkeyPatch) -> Iterator["subprocess.Popen[bytes]"]:
    """Stands in for the worker of this process."""
    process = subprocess.Popen(["sleep", "60"])
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "of another run")
    monkeypatch.setattr(tasks.worker, "find_starter", lambda _variable, _value: identify(process.pid))
    # Prefect passes the signal on to the handler that was there before; by default that would end the tests.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    yield process
    signal.signal(signal.SIGTERM, before)
    process.kill()
    process.wait()


def kill_and_wait(process: "subprocess.Popen[bytes]") -> ProgramTests:
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        time.sleep(0.05)
    return ProgramTests(passed=1)


def test_the_run_of_a_killed_worker_says_so(
    tools: FakeTools, starter: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.run, "is_own_run", lambda: True)
    tools.program_tests = lambda: kill_and_wait(starter)

    state = end_of(provision, "demo")

    assert (state.name, state.type) == ("WorkerLost", StateType.FAILED)
    assert f"process {starter.pid} " in (state.message or "")
    assert tools.engine.calls == []


def test_a_run_within_another_one_lets_the_outer_run_end(tools: FakeTools, starter: "subprocess.Popen[bytes]") -> None:
    tools.program_tests = lambda: kill_and_wait(starter)

    with pytest.raises(TerminationSignal):
        end_of(provision, "demo")
    assert tools.engine.calls == []


@pytest.mark.usefixtures("tools")
def test_a_run_that_ends_before_its_worker_does_is_not_interrupted(starter: "subprocess.Popen[bytes]") -> None:
    assert end_of(provision, "demo").name == "Provisioned"
    starter.kill()
    starter.wait()
    time.sleep(1.0)  # A signal now would reach the test.


def test_a_run_by_hand_has_no_worker_to_lose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID", raising=False)
    with tasks.worker.watched_worker() as worker:
        assert worker.watch is None
        assert not worker.has_gone()
