"""A served flow: one process that starts run after run, each of which lets its secret into every text."""

import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.exceptions import ObjectNotFound
from pydantic import SecretStr

from holdtrue.adapters.leaks import search
from holdtrue.core.forms import REPLACEMENT
from holdtrue.models.leak import Database, Files, KnownValue, LeakReport, PrefectApi
from sandbox import Sandbox
from sandbox.deployment import FinishedRun, flow_environment, wait_for_end
from tasks.submission import start_run
from tests.faults.served_program import DEPLOYMENT, SECRET
from tests.integration.flow_stage import Stage

RUNS: Final = 2
SECONDS: Final = 120.0
_TOLD: Final = re.compile(rf"run (\d) of process (\d+) has {re.escape(REPLACEMENT)} and ")


@dataclass(frozen=True, slots=True)
class Kept:
    """What the runs left behind."""

    messages: tuple[str, ...]
    """Of the final state of each run."""
    logs: tuple[str, ...]
    """All that each run has logged."""
    server: int
    """The process that served."""
    stranger: tuple[str, str, str]
    """Type, name and message of the state of a run with a parameter that the flow does not take."""
    report: LeakReport

    def places(self, name: str) -> list[str]:
        return [leak.place for leak in self.report.leaks if leak.name == name]


@contextmanager
def serving(sandbox: Sandbox, control: Path, log: Path) -> Iterator[int]:
    """The id of a process that serves the flow, as soon as it takes runs."""
    arguments = (sys.executable, "-m", "tests.faults.served_program", str(control))
    environment = flow_environment(sandbox) | {"PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    with log.open("wb") as output:
        server = subprocess.Popen(arguments, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + SECONDS
        while not is_deployed():
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield server.pid
    finally:
        server.terminate()
        server.wait(SECONDS)


def is_deployed() -> bool:
    with get_client(sync_client=True) as client:
        try:
            client.read_deployment_by_name(DEPLOYMENT)
        except ObjectNotFound:
            return False
    return True


@pytest.fixture(scope="module")
def kept(joined_stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    sandbox, folder = joined_stage.sandbox, tmp_path_factory.mktemp("served")
    secret, control = f"served-{secrets.token_hex(12)}", f"c0ntrol-{secrets.token_hex(12)}"
    sandbox.openbao.write_secret(SECRET, {"password": secret})
    (folder / "control").write_text(control)
    log = folder / "log"
    log.mkdir()
    with serving(sandbox, folder / "control", log / "terminal") as server:
        runs = [start_run(DEPLOYMENT, {"number": number}, timeout_seconds=SECONDS) for number in range(RUNS)]
        stranger = run_past_the_server({"number": 0, "region": "eu"})
    assert all(run.state is not None and run.state.is_failed() for run in runs), (log / "terminal").read_text()
    known = [KnownValue(name=name, value=SecretStr(text)) for name, text in (("secret", secret), ("control", control))]
    home = sandbox.prefect.home
    database = Database(url=SecretStr(f"sqlite:///{home / 'prefect.db'}"))
    wait_for_event(known[-1:], database)
    report = search(known, (database, PrefectApi(url=sandbox.prefect.api_url), Files(path=home), Files(path=log)))
    with get_client(sync_client=True) as client:
        logs = [client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))) for run in runs]
    return Kept(
        messages=tuple(run.state.message or "" for run in runs if run.state is not None),
        logs=tuple("\n".join(entry.message for entry in entries) for entries in logs),
        server=server,
        stranger=(stranger.state_type, stranger.state_name, stranger.message),
        report=report,
    )


def run_past_the_server(parameters: Mapping[str, Any]) -> FinishedRun:
    """A run whose parameters the server was asked not to check."""
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(DEPLOYMENT)
        body = {"parameters": dict(parameters), "enforce_parameter_schema": False}
        answer = client._client.post(f"/deployments/{deployment.id}/create_flow_run", json=body)
    return wait_for_end(UUID(answer.json()["id"]), "a run past the server's check", timeout_seconds=SECONDS)


def wait_for_event(control: list[KnownValue], database: Database) -> None:
    """The server writes events some seconds late."""
    deadline = time.monotonic() + SECONDS
    while not any("table events" in leak.place for leak in search(control, (database,)).leaks):
        assert time.monotonic() < deadline, "the event of the control has not come"
        time.sleep(0.5)


def test_each_run_fails_with_its_text_and_without_its_secret(kept: Kept) -> None:
    for number, (message, log) in enumerate(zip(kept.messages, kept.logs, strict=True)):
        for text in (message, log):
            assert {told for told, _ in _TOLD.findall(text)} == {str(number)}
    assert len(kept.messages) == RUNS


def test_each_run_has_a_process_of_its_own(kept: Kept) -> None:
    processes = {process for message in kept.messages for _, process in _TOLD.findall(message)}
    assert len(processes) == RUNS
    assert str(kept.server) not in processes


def test_the_guards_are_in_the_process_of_each_run(kept: Kept) -> None:
    kind, name, message = kept.stranger
    assert (kind, name) == ("FAILED", "Rejected")
    assert "unknown parameter: region" in message


def test_the_secret_is_nowhere(kept: Kept) -> None:
    assert kept.places("secret") == []
    assert kept.report.not_searched == ()


@pytest.mark.parametrize(
    "place", ["table log", "table flow_run_state", "table task_run_state", "table events", "terminal"]
)
def test_positive_control_what_nobody_registered_is_found(kept: Kept, place: str) -> None:
    assert any(place in found for found in kept.places("control"))
