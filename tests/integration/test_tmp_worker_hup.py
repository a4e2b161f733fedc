"""A worker that is killed: its run ends within seconds, in order, and says so; a run without a worker goes on."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.states import Cancelling

from holdtrue.adapters.ledger import open_ledger
from holdtrue.models.report import ProvisionReport
from sandbox.deployment import deploy_all, flow_environment
from sandbox.orchestrator import PrefectWorker
from sandbox.schedules import pause_schedules
from tasks.reports import load_report
from tests.integration.flow_evidence import nothing_left
from tests.integration.flow_stage import TINY_PLAYBOOK, Stage

END_SECONDS = 25.0
"""Of which the interrupted tool may take 20 (holdtrue.runtime.process)."""


@pytest.fixture
def worker(stage: Stage) -> Iterator[PrefectWorker]:
    deploy_all(stage.sandbox)
    pause_schedules()
    environment = flow_environment(stage.sandbox) | {"HOLDTRUE_FLEET": str(stage.fleet.root)}
    running = stage.sandbox.start_worker(env=environment)
    yield running
    running.stop()


def wait_until(done: Callable[[], bool], what: str, seconds: float) -> float:
    began = time.monotonic()
    while not done():
        assert time.monotonic() - began < seconds, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - began


def type_of(run_id: UUID) -> StateType | None:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run_id).state_type


@contextmanager
def long_playbook(stage: Stage, folder: Path) -> Iterator[Path]:
    """A playbook whose task runs until the block is left; gives the file that says that it runs."""
    started, over = folder / "started", folder / "over"
    command = f"touch {started}; until [ -e {over} ]; do sleep 0.2; done"
    task = f"    - name: Take very long\n      ansible.builtin.shell: '{command}'\n"
    stage.fleet.write("ansible/tiny.yml", f"{TINY_PLAYBOOK}{task}")
    try:
        yield started
    finally:
        over.touch()


COMMANDS = {"engine alone": {}, "Prefect's own": {"command": f"{sys.executable} -m prefect flow-run execute"}}


@pytest.mark.parametrize("final", [StateType.FAILED, StateType.CANCELLED], ids=["left alone", "cancelled"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_whose_worker_is_killed_ends_in_order(
    stage: Stage, worker: PrefectWorker, tmp_path: Path, command: str, final: StateType
) -> None:
    sandbox = stage.sandbox
    with nothing_left(sandbox, state_may_change=True), get_client(sync_client=True) as client:
        wanted = client.read_deployment_by_name("provision/provision")
        with long_playbook(stage, tmp_path) as started:
            run = client.create_flow_run_from_deployment(
                wanted.id, parameters={"environment": "tiny"}, job_variables=COMMANDS[command]
            )
            wait_until(started.exists, "the playbook's task runs", 120)
            os.kill(worker.pid, signal.SIGHUP)
            if final is StateType.CANCELLED:
                client.set_flow_run_state(run.id, Cancelling())
            wait_until(lambda: type_of(run.id) is final, "the run has ended", END_SECONDS)
        for folder in (sandbox.directory / "tmp").glob("tmp*prefect"):
            shutil.rmtree(folder)  # The working folder that the worker gave the run: it cannot remove it any more.
        state = client.read_flow_run(run.id).state
    assert state is not None
    assert state.name == {StateType.FAILED: "WorkerLost", StateType.CANCELLED: "Cancelled"}[final]
    assert "worker" in (state.message or "")
    assert f"process {worker.pid} " in (state.message or "")
    report = load_report(run.id)
    assert isinstance(report, ProvisionReport)
    assert report.outcome is not None
    assert report.outcome.state == state.name
    assert report.applied is not None
    lock = open_ledger(flow_environment(sandbox)["HOLDTRUE_LEDGER_URL"]).locks.find("tiny")
    assert lock is not None
    assert lock.holder is None
