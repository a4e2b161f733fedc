"""`holdtrue preflight`: the chain from the fleet's own file, without Prefect."""

import json
import os
import subprocess
import sys

import pytest

from sandbox.deployment import block_variables, flow_environment
from tests.integration.flow_stage import Stage

pytestmark = pytest.mark.usefixtures("untouched")


def ask(stage: Stage, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    # Of Prefect it gets nothing, so that needing it shows.
    inherited = {name: value for name, value in flow_environment(stage.sandbox).items() if "PREFECT" not in name}
    return subprocess.run(
        (sys.executable, "-m", "holdtrue.cli", "preflight", "tiny", "--fleet", str(stage.fleet.root), *arguments),
        env={"PATH": os.environ["PATH"]} | inherited | block_variables(stage.sandbox) | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def test_a_whole_chain(stage: Stage) -> None:
    done = ask(stage, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = {item["name"]: item["outcome"] for item in json.loads(done.stdout)["prerequisites"]}
    assert set(outcomes.values()) == {"ok"}
    assert {"Vault login", "Vault policy secret/data/holdtrue/aws", "AWS identity", "host web-1"} <= outcomes.keys()


def test_each_broken_link_is_a_line_with_what_to_do(stage: Stage) -> None:
    done = ask(stage, HOLDTRUE_VAULT_SECRET_ID="not-the-secret-id")
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("broken")]
    assert "Vault login" in line
    assert "Next: " in line
    assert "not-the-secret-id" not in done.stdout + done.stderr


def test_a_file_that_is_wrong_is_named_with_its_line(stage: Stage) -> None:
    stage.fleet.replace("blocks.yaml", "type: pulumi-backend", "type: pulumi")
    done = ask(stage)
    assert done.returncode == 2
    assert "blocks.yaml:" in done.stderr
    stage.fleet.reset()
    stage.fleet.replace("blocks.yaml", "role: deploy", "role: hvs." + "CAESIJ" * 6)
    done = ask(stage)
    assert done.returncode == 2
    assert "a Vault token" in done.stderr
    assert "CAESIJ" not in done.stderr
