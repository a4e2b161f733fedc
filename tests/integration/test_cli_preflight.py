"""`holdtrue preflight`: the chain from the fleet's own file, without Prefect."""

import json
import os
import re
import subprocess
import sys

import pytest

from holdtrue.adapters.vault import VaultServer, open_vault
from holdtrue.adapters.vault.auth import AppRole
from holdtrue.adapters.vault.failures import Call
from holdtrue.preflight import _outlives
from sandbox.deployment import block_variables, flow_environment
from sandbox.openbao import TOKEN_MAX_TTL_SECONDS, TOKEN_TTL_SECONDS
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
    assert {
        "Vault token lifetime",
        "Vault login",
        "Vault policy secret/data/holdtrue/aws",
        "AWS identity",
        "host web-1",
    } <= outcomes.keys()


def test_each_broken_link_is_a_line_with_what_to_do(stage: Stage) -> None:
    done = ask(stage, HOLDTRUE_VAULT_SECRET_ID="not-the-secret-id")
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("broken")]
    assert "Vault login" in line
    assert "Next: " in line
    assert "not-the-secret-id" not in done.stdout + done.stderr


def lifetime_line(done: "subprocess.CompletedProcess[str]") -> str:
    (line,) = [line for line in done.stdout.splitlines() if " Vault token lifetime: " in line]
    return line


def test_a_token_that_would_end_under_an_operation_is_a_line_with_the_setting(stage: Stage) -> None:
    role = stage.sandbox.openbao.issue_app_role("preflight-short", token_ttl_seconds=40, secret_id_ttl_seconds=300)
    short = {"HOLDTRUE_VAULT_SECRET_ID": role.secret_id.get_secret_value(), "DEMO_ROLE_ID": role.role_id}
    stage.fleet.edit_manifest("tiny", infrastructure={"timeout_seconds": 60})
    done = ask(stage, **short)
    assert done.returncode == 1, done.stdout + done.stderr
    line = lifetime_line(done)
    assert re.search(r"ends after about 4[01] s", line)
    assert "60 s" in line
    assert "token_max_ttl" in line
    assert [item for item in done.stdout.splitlines() if item.startswith("broken")] == [line], "the rest is asked"

    stage.fleet.edit_manifest("tiny", infrastructure={"timeout_seconds": 40})
    done = ask(stage, **short)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("more_seconds", "outcome"), [(0, "ok"), (60, "broken")])
def test_a_token_may_become_older_than_its_first_lifetime(stage: Stage, more_seconds: int, outcome: str) -> None:
    seconds = TOKEN_MAX_TTL_SECONDS + more_seconds
    stage.fleet.edit_manifest("tiny", infrastructure={"timeout_seconds": seconds})
    line = lifetime_line(ask(stage))
    assert line.startswith(outcome)
    assert f"{seconds} s" in line


def test_a_token_that_renewals_keep_alive_for_ever_lives_long_enough(stage: Stage) -> None:
    """Its answer to a renewal is its period, however much is asked for."""
    role = stage.sandbox.openbao.issue_app_role("preflight-periodic", token_ttl_seconds=40, secret_id_ttl_seconds=300)
    stage.sandbox.openbao.client().auth.approle.create_or_update_approle(
        "preflight-periodic", token_ttl="0s", token_max_ttl="0s", token_period="40s"
    )
    stage.fleet.edit_manifest("tiny", infrastructure={"timeout_seconds": 60})
    secret_id = role.secret_id.get_secret_value()
    line = lifetime_line(ask(stage, HOLDTRUE_VAULT_SECRET_ID=secret_id, DEMO_ROLE_ID=role.role_id))
    assert line.startswith("ok")
    assert "without end" in line


def test_the_question_leaves_the_token_its_end(stage: Stage) -> None:
    made = stage.sandbox.openbao.app_role
    server = VaultServer(stage.sandbox.openbao.address, ca_file=stage.sandbox.openbao.ca_file)
    with open_vault(server, AppRole(role_id=made.role_id, secret_id=made.secret_id)) as session:
        assert session.lifetime_seconds == TOKEN_TTL_SECONDS
        _outlives(session, TOKEN_MAX_TTL_SECONDS)
        told = session.read(Call("look at the own token", "auth/token/lookup-self", "read"))
        assert TOKEN_TTL_SECONDS - 30 < told["data"]["ttl"] <= TOKEN_TTL_SECONDS


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
