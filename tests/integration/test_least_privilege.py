"""Each flow reaches its good end with exactly the policy that `holdtrue policy` prints for it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow

from blocks.vault import VaultCredentials
from flows.drift import drift
from flows.provision import provision
from flows.validate import validate
from holdtrue.credentials.logins import AppRoleAuth
from holdtrue.credentials.sources import FileSource
from sandbox.deployment import block_variables, flow_environment, save_blocks
from tests.integration.flow_stage import Stage

NAME = "least-privilege"


def printed_policy(stage: Stage, flow: str) -> str:
    done = subprocess.run(
        (sys.executable, "-m", "holdtrue", "policy", "tiny", "--fleet", str(stage.fleet.root), "--flow", flow),
        env=flow_environment(stage.sandbox) | block_variables(stage.sandbox),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


@pytest.mark.usefixtures("untouched_but_state")
@pytest.mark.parametrize(
    ("flow", "argument", "end"),
    [(provision, "tiny", "Unchanged"), (validate, "tiny", "Passed"), (drift, ["tiny"], "InSync")],
    ids=["provision", "validate", "drift"],
)
def test_the_printed_policy_is_enough_for_the_flow(
    stage: Stage, tmp_path: Path, flow: Flow[..., Any], argument: object, end: str
) -> None:
    rules = printed_policy(stage, flow.name)
    openbao = stage.sandbox.openbao
    openbao.write_policy(NAME, rules)
    role = openbao.issue_app_role(NAME, policy=NAME, token_ttl_seconds=1200, secret_id_ttl_seconds=600)
    (tmp_path / "secret-id").write_text(role.secret_id.get_secret_value())
    save_blocks(stage.sandbox, NAME)
    block = VaultCredentials.load(NAME)
    assert isinstance(block, VaultCredentials)
    login = AppRoleAuth(role_id=role.role_id, secret_id=FileSource(path=tmp_path / "secret-id"))
    block.model_copy(update={"auth": login}).save(NAME, overwrite=True)
    stage.fleet.edit_manifest(
        "tiny",
        infrastructure={"timeout_seconds": 600},
        credentials=dict.fromkeys(("vault", "aws", "ssh", "pulumi"), NAME),
    )
    run = stage.run(flow, argument)
    assert run.name == end, f"{run.message}\nwith {rules}"
    session = openbao.client(openbao.issue_token(policy=NAME, ttl_seconds=60))
    with pytest.raises(Exception, match="permission denied"):
        session.secrets.kv.v2.read_secret_version("holdtrue/other", raise_on_deleted_version=True)
    session.auth.token.revoke_self()
