"""A worker of the sandbox runs a deployment's flow run in the sandbox's environment, and ends with all it started."""

import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests

from sandbox import Sandbox, guardian

FLOW = """
import os
from pathlib import Path
from prefect import flow

@flow
def report() -> None:
    Path(os.environ["REPORT"]).write_text(os.environ["HOLDTRUE_SANDBOX"] + " " + os.getcwd())
"""
RUN_SECONDS = 40
STOP_SECONDS = 15


def post(url: str, body: Any) -> Any:
    """Send, and send again while the server's database is busy (503), as Prefect's own client does."""
    deadline = time.monotonic() + RUN_SECONDS
    while True:
        answer = requests.post(url, json=body, timeout=20)
        if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
            answer.raise_for_status()
            return answer.json()
        time.sleep(0.5)


def wait_for_end(api: str, run_id: str) -> str:
    deadline = time.monotonic() + RUN_SECONDS
    while True:
        state = requests.get(f"{api}/flow_runs/{run_id}", timeout=20).json()["state"]
        if state["type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}:
            return f"{state['type']}: {state['message']}"
        assert time.monotonic() < deadline, state
        time.sleep(0.2)


def test_worker_runs_a_deployment_and_stops(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "reporting.py").write_text(FLOW)
    api = sandbox.prefect.api_url
    flow = post(f"{api}/flows/", {"name": "report"})
    pull = {"prefect.deployments.steps.set_working_directory": {"directory": str(tmp_path)}}
    deployment = {"name": "report", "flow_id": flow["id"], "work_pool_name": "holdtrue", "pull_steps": [pull]}
    deployment_id = post(f"{api}/deployments/", deployment | {"entrypoint": "reporting.py:report"})["id"]
    worker = sandbox.start_worker(env={"REPORT": str(tmp_path / "report.txt")}, cwd=tmp_path)
    try:
        run_id = post(f"{api}/deployments/{deployment_id}/create_flow_run", {})["id"]
        assert wait_for_end(api, run_id).startswith("COMPLETED"), worker.log_tail()
        marker, directory = (tmp_path / "report.txt").read_text().split()
        assert (marker, directory) == (sandbox.marker, str(tmp_path))
    finally:
        began = time.monotonic()
        worker.stop()
    assert time.monotonic() - began < STOP_SECONDS
    assert not worker.is_running()
    assert not [
        found
        for found in guardian.marked_processes(sandbox.marker, sandbox.directory)
        if "worker" in found.command or "prefect.engine" in found.command
    ]
