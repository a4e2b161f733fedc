"""Deployments on a worker: one trace through every process, and nothing left of a run that is cancelled."""

import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, Log, StateType
from prefect.client.schemas.sorting import LogSort
from prefect.context import FlowRunContext
from prefect.deployments import run_deployment
from prefect.states import Cancelling
from prefect.telemetry.run_telemetry import LABELS_TRACEPARENT_KEY

from flows.validate import validate
from holdtrue.adapters.ledger import open_ledger
from holdtrue.models.lease import LeaseKind
from holdtrue.models.report import ProvisionReport, ValidationReport
from holdtrue.models.validation import VerdictOutcome
from holdtrue.runtime.tracing import flush_tracing, start_tracing
from sandbox import Sandbox, guardian
from sandbox.deployment import deploy_all, flow_environment, run_flow
from sandbox.orchestrator import PrefectWorker
from sandbox.otlp import ReceivedSpan
from sandbox.schedules import pause_schedules
from tasks.reports import load_report
from tests.integration.flow_evidence import nothing_left, take_snapshot, texts_of
from tests.integration.flow_stage import TINY_PLAYBOOK, Stage

STAGES = (
    "load environment",
    "lock environment",
    "require prerequisites",
    "test program",
    "preview stack",
    "apply stack",
    "configure hosts",
    "prove idempotent",
    "validate hosts",
    "shift traffic",
)
INSIDE = {
    "pulumi stack output": "stage require prerequisites",
    "program-tests": "stage test program",
    "pulumi preview": "stage preview stack",
    "pulumi up": "stage apply stack",
    "testinfra": "stage validate hosts",
}
"""Calls of external tools that happen once, and the stage of each."""

RUN_SECONDS = 120.0
CANCEL_SECONDS = 15.0


@pytest.fixture(scope="module")
def worker(joined_stage: Stage) -> Iterator[PrefectWorker]:
    """A worker of the fleet's deployments, which are deployed twice: the second time changes nothing."""
    sandbox = joined_stage.sandbox
    first = deployments()
    deploy_all(sandbox)
    made = deployments()
    deploy_all(sandbox)
    assert made.keys() - first.keys() or first
    assert deployments() == made
    # A sweep every minute would hold a token of its own, and these tests count tokens.
    pause_schedules()
    environment = flow_environment(sandbox) | {"HOLDTRUE_FLEET": str(joined_stage.fleet.root)}
    running = sandbox.start_worker(env=environment)
    yield running
    running.stop()


def deployments() -> dict[str, UUID]:
    with get_client(sync_client=True) as client:
        return {deployment.name: deployment.id for deployment in client.read_deployments()}


def test_deployments_are_there_with_their_schedules(worker: PrefectWorker) -> None:
    assert worker.is_running()
    with get_client(sync_client=True) as client:
        found = {deployment.name: deployment for deployment in client.read_deployments()}
    assert {"provision", "validate", "drift", "audit", "sweep"} <= found.keys()
    schedules = {name: [item.schedule for item in found[name].schedules] for name in ("drift", "audit", "sweep")}
    assert {name: len(items) for name, items in schedules.items()} == {"drift": 1, "audit": 1, "sweep": 1}
    assert all(getattr(items[0], "timezone", None) for items in schedules.values())


# One trace


def wait_until(done: Callable[[], bool], what: str, seconds: float = RUN_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


def disconnected(spans: Sequence[ReceivedSpan]) -> list[str]:
    """Names of the spans whose parent nobody has received."""
    known = {span.span_id for span in spans}
    return [span.name for span in spans if span.parent_span_id is not None and span.parent_span_id not in known]


def ancestors(spans: Sequence[ReceivedSpan], name: str) -> list[str]:
    """Names of the spans around the only span of this name, the nearest first."""
    by_id = {span.span_id: span for span in spans}
    (current,) = [span for span in spans if span.name == name]
    names: list[str] = []
    while current.parent_span_id is not None:
        current = by_id[current.parent_span_id]
        names.append(current.name)
    return names


def of_trace(sandbox: Sandbox, trace_id: str) -> list[ReceivedSpan]:
    return [span for span in sandbox.otlp.spans() if span.trace_id == trace_id]


def test_provision_from_a_parent_flow_is_one_connected_trace(stage: Stage, worker: PrefectWorker) -> None:
    trace_ids: list[str] = []
    run_ids: list[UUID] = []

    @flow(name="parent", persist_result=False)
    def parent() -> str:
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        trace_ids.append(str(context.flow_run.labels[LABELS_TRACEPARENT_KEY]).split("-")[1])
        run = run_deployment(
            "provision/provision", parameters={"environment": "tiny"}, timeout=RUN_SECONDS, poll_interval=1
        )
        assert isinstance(run, FlowRun)
        assert run.state is not None
        run_ids.append(run.id)
        return run.state.name or ""

    start_tracing()
    stage.sandbox.otlp.clear()
    assert parent() in {"Provisioned", "Unchanged"}, worker.log_tail()
    flush_tracing()

    (trace_id,) = trace_ids
    stage.sandbox.otlp.wait_for(lambda found: found.name == "flow provision", 10)
    spans = of_trace(stage.sandbox, trace_id)
    names = [found.name for found in spans]
    assert [name for name in STAGES if names.count(f"stage {name}") != 1] == []
    assert names.count("ansible-playbook") == 2
    assert names.count("program-tests") == names.count("testinfra") == 1
    assert {
        "pulumi stack output",
        "pulumi preview",
        "pulumi up",
        "vault log in by AppRole",
        "vault revoke the token of this session",
    } <= set(names)
    assert disconnected(spans) == []
    (root,) = [found for found in spans if found.name == "flow provision"]
    assert disconnected([found for found in spans if found is not root]), "the check sees a parent that is missing"
    for inner, outer in INSIDE.items():
        assert outer in ancestors(spans, inner)
    for stage_name in STAGES:
        assert "flow provision" in ancestors(spans, f"stage {stage_name}")
    assert root.parent_span_id is not None, "the trace began in the parent flow"
    stage.require_no_secret(worker_texts(stage, run_ids[0]), "web-2")


# Cancellation


def run_folders(sandbox: Sandbox) -> set[Path]:
    """Private folders that the command lines and environments of the sandbox's processes name."""
    private_folder = re.compile(rf"{sandbox.private_folders}/[^/ :]+")
    named: set[Path] = set()
    for found in guardian.marked_processes(sandbox.marker, sandbox.directory):
        for text in (*found.command, *found.environment.values()):
            named |= {Path(path) for path in private_folder.findall(text)}
    return named


@pytest.mark.usefixtures("worker")
@pytest.mark.expected_service_errors(
    "worker-*", "Execution was aborted by a termination signal", "The run is cancelled."
)
def test_cancelled_provision_leaves_nothing_behind(stage: Stage, tmp_path: Path) -> None:
    started, over = tmp_path / "started", tmp_path / "over"
    # What a task has started on a host goes on there, as Ansible has it; it ends when the test does.
    command = f"touch {started}; until [ -e {over} ]; do sleep 0.2; done"
    stage.fleet.write(
        "ansible/tiny.yml",
        f"{TINY_PLAYBOOK}    - name: Take very long\n      ansible.builtin.shell: '{command}'\n",
    )
    sandbox = stage.sandbox
    before = take_snapshot(sandbox)
    with nothing_left(sandbox, state_may_change=True), get_client(sync_client=True) as client, touching(over):
        wanted = client.read_deployment_by_name("provision/provision")
        run = client.create_flow_run_from_deployment(wanted.id, parameters={"environment": "tiny"})
        wait_until(started.exists, "the playbook's task runs")
        folders = run_folders(sandbox)
        assert folders, "the search does not see the folders of a running tool"
        assert any("ansible" in command for command in (take_snapshot(sandbox).processes - before.processes))
        client.set_flow_run_state(run.id, Cancelling())
        wait_until(lambda: not take_snapshot(sandbox).processes - before.processes, "children are gone", CANCEL_SECONDS)
        wait_until(lambda: _type_of(run.id) is StateType.CANCELLED, "the run is cancelled", 30)
    report = load_report(run.id)
    assert isinstance(report, ProvisionReport)
    assert report.outcome is not None
    assert report.outcome.state == "Interrupted"
    assert report.applied is not None
    assert report.configured is not None
    assert [folder for folder in folders if folder.exists()] == []
    lock = open_ledger(flow_environment(sandbox)["HOLDTRUE_LEDGER_URL"]).locks.find("tiny")
    assert lock is not None
    assert lock.holder is None
    stage.require_no_secret(worker_texts(stage, run.id), "Take very long")


@pytest.mark.usefixtures("worker")
def test_what_a_killed_run_held_is_swept(stage: Stage, tmp_path: Path) -> None:
    started, over = tmp_path / "started", tmp_path / "over"
    command = f"touch {started}; until [ -e {over} ]; do sleep 0.2; done"
    stage.fleet.write(
        "ansible/tiny.yml",
        f"{TINY_PLAYBOOK}    - name: Take very long\n      ansible.builtin.shell: '{command}'\n",
    )
    sandbox = stage.sandbox
    ledger = open_ledger(flow_environment(sandbox)["HOLDTRUE_LEDGER_URL"])
    before = sandbox.openbao.accessors()
    with get_client(sync_client=True) as client, touching(over):
        wanted = client.read_deployment_by_name("provision/provision")
        run = client.create_flow_run_from_deployment(wanted.id, parameters={"environment": "tiny"})
        wait_until(started.exists, "the playbook's task runs")
        (held,) = [found for found in ledger.unsettled() if found.holder.run == str(run.id)]
        (token,) = [lease for lease in held.leases if lease.kind is LeaseKind.TOKEN]
        os.kill(held.holder.process.pid, signal.SIGKILL)
        wait_until(lambda: _type_of(run.id) is StateType.CRASHED, "the worker sees that the run is gone", 30)
    assert token.reference in sandbox.openbao.accessors() - before, "a killed run cannot revoke"
    swept = run_flow("sweep/sweep", {"vaults": ["sweeper"]})
    assert swept.state_name == "Swept", swept.message
    assert token.reference in swept.report.replace("\\", "")
    wait_until(lambda: sandbox.openbao.accessors() <= before, "no token of either run is left", 5)
    assert ledger.unsettled() == (), "what nobody can revoke is left to expire"
    stage.require_no_secret(worker_texts(stage, swept.id), "Swept")


PREFECT_COMMANDS = {"engine alone": {}, "Prefect's own": {"command": f"{sys.executable} -m prefect flow-run execute"}}


@pytest.mark.parametrize("job_variables", PREFECT_COMMANDS.values(), ids=PREFECT_COMMANDS)
@pytest.mark.usefixtures("worker")
def test_the_log_of_a_failed_run_ends_with_its_outcome(stage: Stage, job_variables: dict[str, str]) -> None:
    stage.fleet.write("checks/tiny/test_tiny.py", "def test_one(host):\n    assert host.file('/none').exists\n")
    with get_client(sync_client=True) as client:
        wanted = client.read_deployment_by_name("validate/validate")
        run = client.create_flow_run_from_deployment(
            wanted.id, parameters={"environment": "tiny"}, job_variables=job_variables
        )
        wait_until(lambda: _type_of(run.id) is StateType.FAILED, "the run has failed")
        ended = client.read_flow_run(run.id)
    assert ended.state is not None
    assert (ended.state.name, ended.name) == ("ChecksFailed", "validate tiny")
    last = f"ChecksFailed: {ended.state.message}"
    wait_until(lambda: last in [entry.message for entry in log_of(run.id)], "the log has arrived", 10)
    log = log_of(run.id)
    assert [entry.message for entry in log if "Traceback" in entry.message] == []
    of_the_run = [entry for entry in log if entry.name != "prefect.flow_runs.worker"]
    assert (of_the_run[-1].message, of_the_run[-1].level) == (last, logging.ERROR)
    report = load_report(run.id)
    assert isinstance(report, ValidationReport)
    assert report.verdict.outcome is VerdictOutcome.FAIL


def log_of(run_id: UUID) -> list[Log]:
    with get_client(sync_client=True) as client:
        wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id]))
        return client.read_logs(log_filter=wanted, sort=LogSort.TIMESTAMP_ASC)


def worker_texts(stage: Stage, run_id: UUID) -> dict[str, str]:
    """What is kept of a worker's run: in Prefect and in reports, in the logs of all services, in the spans."""
    sandbox = stage.sandbox
    logs = {f"service log {path.name}": path.read_text(errors="replace") for path in sandbox.directory.glob("log/*")}
    spans = b"".join(sandbox.otlp.payloads()).decode(errors="replace")
    return texts_of(run_id, sandbox.directory / "reports") | logs | {"spans": spans}


@contextmanager
def touching(path: Path) -> Iterator[None]:
    try:
        yield
    finally:
        path.touch()


def _type_of(run_id: UUID) -> StateType | None:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run_id).state_type


@pytest.mark.usefixtures("untouched")
def test_in_process_run_is_one_connected_trace_too(stage: Stage) -> None:
    start_tracing()
    stage.sandbox.otlp.clear()
    stage.require(stage.run(validate, "tiny"), "Passed")
    flush_tracing()
    flow_span = stage.sandbox.otlp.wait_for(lambda found: found.name == "flow validate", 10)
    spans = of_trace(stage.sandbox, flow_span.trace_id)
    assert {"stage read outputs", "stage validate hosts", "pulumi stack output", "testinfra"} <= {
        found.name for found in spans
    }
    assert disconnected(spans) == []
