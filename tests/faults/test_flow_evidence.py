"""The matrix's own checks see what they are for: secrets that are kept, and everything that a run can leave."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger

from holdtrue.runtime.tracing import flush_tracing, start_tracing
from sandbox.load_balancer import BACKEND
from tests.integration.flow_evidence import holders, holds_secret, nothing_left, secret_values
from tests.integration.flow_stage import Stage


def test_secrets_are_found_wherever_prefect_keeps_text(stage: Stage) -> None:
    token = stage.sandbox.openbao.root_token.get_secret_value()
    secret_id = stage.sandbox.openbao.secret_id.get_secret_value()

    @task
    def careless_task() -> None:
        raise RuntimeError(f"cannot log in with {secret_id}")

    @flow(persist_result=False)
    def careless(environment: str) -> None:
        get_run_logger().info("environment %s, token %s", environment, token)
        create_markdown_artifact(markdown=f"-----BEGIN OPENSSH PRIVATE KEY----- for {environment}", key="careless")
        careless_task()

    start_tracing()
    run = stage.run(careless, "tiny")
    found = holders(stage.texts(run), holds_secret(secret_values(stage.sandbox)))
    assert "artifact careless" in found
    assert "flow run" in found
    assert any(name.startswith("task run careless_task") for name in found)
    assert sum(name.startswith("log ") for name in found) >= 2
    flush_tracing()
    assert "spans" in holders(stage.texts(run), holds_secret(secret_values(stage.sandbox)))
    stage.sandbox.otlp.clear()


def test_everything_that_a_run_can_leave_is_seen(stage: Stage, tmp_path: Path) -> None:
    sandbox = stage.sandbox
    balancer, weight = sandbox.load_balancer, sandbox.load_balancer.weights()["web-1"]
    state, file = sandbox.state_directory / "left.json", sandbox.directory / "tmp" / "left"
    sleeping: list[subprocess.Popen[bytes]] = []

    def leave_one_of_everything() -> None:
        with nothing_left(sandbox, settle_seconds=0.1):
            tempfile.mkdtemp(dir=tmp_path)
            sandbox.openbao.issue_token(ttl_seconds=20)
            sleeping.append(subprocess.Popen(["sleep", "77"], env=os.environ | sandbox.environment()))
            state.write_text("{}")
            file.touch()
            balancer.command(f"set server {BACKEND}/web-1 weight {weight + 1}")

    try:
        with pytest.raises(AssertionError) as caught:
            leave_one_of_everything()
    finally:
        for process in sleeping:
            process.kill()
            process.wait()
        state.unlink(missing_ok=True)
        file.unlink(missing_ok=True)
        balancer.command(f"set server {BACKEND}/web-1 weight {weight}")
    for seen in (
        f"folder {tmp_path}",
        "file left",
        "token ",
        "process sleep 77",
        "weights ",
        "state files ['left.json']",
    ):
        assert seen in str(caught.value)
