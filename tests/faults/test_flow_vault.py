"""Vault down, sealed, denying, expired or somebody else's: named with its address, and nothing is changed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow

from blocks.vault import VaultCredentials
from flows.drift import drift
from flows.provision import provision
from flows.validate import validate
from holdtrue.adapters.tools import find_tool
from holdtrue.credentials.logins import AppRoleAuth
from holdtrue.credentials.sources import FileSource
from sandbox import Sandbox
from sandbox.certificates import issue_loopback_certificate
from sandbox.deployment import save_blocks
from sandbox.openbao import POLICY
from tests.integration.flow_stage import Stage, other_python

pytestmark = pytest.mark.usefixtures("untouched")


@contextmanager
def stopped(sandbox: Sandbox) -> Iterator[None]:
    sandbox.openbao.stop()
    try:
        yield
    finally:
        sandbox.openbao.start()


@contextmanager
def sealed(sandbox: Sandbox) -> Iterator[None]:
    sandbox.openbao.seal()
    try:
        yield
    finally:
        sandbox.openbao.unseal()


def test_stopped_vault(stage: Stage) -> None:
    with stopped(stage.sandbox):
        provisioned, validated = stage.run(provision, "tiny"), stage.run(validate, "tiny")
    address = stage.sandbox.openbao.address
    stage.require(provisioned, "PreflightFailed", "Vault login", "no connection", address, "nothing was changed")
    stage.require(validated, "Incomplete", "no connection", address)


def test_sealed_vault(stage: Stage) -> None:
    with sealed(stage.sandbox):
        run = stage.run(provision, "tiny")
    stage.require(run, "PreflightFailed", "Vault login", "sealed", stage.sandbox.openbao.address, "unseal")


@pytest.fixture
def other_blocks(stage: Stage) -> Callable[..., None]:
    """Saves all four blocks under another name, with another login, and makes the fleet use them."""

    def save(name: str, **vault: object) -> None:
        save_blocks(stage.sandbox, name)
        block = VaultCredentials.load(name)
        assert isinstance(block, VaultCredentials)
        block.model_copy(update=vault).save(name, overwrite=True)
        names = dict.fromkeys(("vault", "aws", "ssh", "pulumi"), name)
        stage.fleet.edit_manifest("tiny", credentials=names)

    return save


def role(stage: Stage, folder: Path, name: str, *, rules: str = POLICY, ttl_seconds: int = 300) -> AppRoleAuth:
    """An AppRole with its own policy, whose secret id is in a file."""
    stage.sandbox.openbao.write_policy(name, rules)
    made = stage.sandbox.openbao.issue_app_role(
        name, policy=name, token_ttl_seconds=ttl_seconds, secret_id_ttl_seconds=600
    )
    path = folder / "secret-id"
    path.write_text(made.secret_id.get_secret_value())
    return AppRoleAuth(role_id=made.role_id, secret_id=FileSource(path=path))


@pytest.mark.parametrize(
    ("path", "capability"),
    [("secret/data/holdtrue/aws", "read"), ("transit/decrypt/pulumi", "update")],
)
def test_policy_without_the_path_names_the_line_to_add(
    stage: Stage, tmp_path: Path, other_blocks: Callable[..., None], path: str, capability: str
) -> None:
    lines = POLICY.replace("secret/data/holdtrue/*", "secret/data/holdtrue/aws").splitlines()
    rules = "\n".join(line for line in lines if path not in line)
    assert rules.count("path") == POLICY.count("path") - 1
    other_blocks("denied", auth=role(stage, tmp_path, "denied", rules=rules))
    line = f'path "{path}" {{ capabilities = ["{capability}"] }}'
    run = stage.run(provision, "tiny")
    stage.require(run, "PreflightFailed", f"Vault policy {path}", line)


def test_looking_with_a_policy_without_the_path_names_the_line_to_add(
    stage: Stage, tmp_path: Path, other_blocks: Callable[..., None]
) -> None:
    rules = "\n".join(line for line in POLICY.splitlines() if "ssh/sign" not in line)
    other_blocks("denied", auth=role(stage, tmp_path, "denied", rules=rules))
    line = 'path "ssh/sign/deploy" { capabilities = ["update"] }'
    stage.require(stage.run(validate, "tiny"), "Incomplete", line)
    stage.fleet.edit_manifest("tiny", drift={"layers": ["infrastructure", "runtime"]})
    drifted = stage.run(drift, ["tiny"])
    stage.require(drifted, "Incomplete", "tiny runtime", "ssh/sign/deploy")
    (found,) = drifted.result.environments
    assert {item.layer.value for item in found.not_checked} == {"runtime"}
    assert found.checked >= 1


def test_wrong_login(stage: Stage, tmp_path: Path, other_blocks: Callable[..., None]) -> None:
    auth = role(stage, tmp_path, "forgotten")
    (tmp_path / "secret-id").write_text("not-the-secret-id")
    other_blocks("forgotten", auth=auth)
    run = stage.run(provision, "tiny")
    stage.require(run, "PreflightFailed", "Vault login", "secret id", stage.sandbox.openbao.address)


def test_authority_that_did_not_sign(stage: Stage, tmp_path: Path, other_blocks: Callable[..., None]) -> None:
    other_ca = issue_loopback_certificate(tmp_path).authority
    other_blocks("wrong-ca", ca_file=other_ca)
    ends: list[tuple[Flow[..., Any], str]] = [(provision, "PreflightFailed"), (validate, "Incomplete")]
    for flow, state_name in ends:
        stage.require(stage.run(flow, "tiny"), state_name, "certificate", str(other_ca), stage.sandbox.openbao.address)


def test_token_that_expires_under_the_engine(stage: Stage, tmp_path: Path, other_blocks: Callable[..., None]) -> None:
    other_blocks("brief", auth=role(stage, tmp_path, "brief", ttl_seconds=1))
    real = find_tool("pulumi")
    with other_python(tmp_path, leave_out="pulumi") as programs:
        slow = programs / "pulumi"
        slow.write_text(f'#!/bin/sh\nsleep 2\nexec {real} "$@"\n')
        slow.chmod(0o755)
        stage.fleet.edit_manifest("tiny", drift={"layers": ["infrastructure"]})
        looked = stage.run(drift, ["tiny"])
    stage.require(looked, "Incomplete", "tiny infrastructure", "the token lives as long as the run")


def test_token_that_would_expire_under_the_engine_is_found_before(
    stage: Stage, tmp_path: Path, other_blocks: Callable[..., None]
) -> None:
    other_blocks("brief", auth=role(stage, tmp_path, "brief", ttl_seconds=1))
    stage.require(stage.run(provision, "tiny"), "PreflightFailed", "Vault token lifetime", "token_max_ttl")
