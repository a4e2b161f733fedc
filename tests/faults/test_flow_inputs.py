"""Bad input: refused by name before anything runs."""

import pytest
from prefect import Flow

from flows.audit import audit
from flows.drift import drift
from flows.provision import provision
from flows.validate import validate
from tests.integration.flow_stage import Stage

pytestmark = pytest.mark.usefixtures("untouched")

FLOWS = [(provision, "{}"), (validate, "{}"), (drift, ["{}"]), (audit, ["{}"])]


def name_of(value: object) -> str:
    return value.name if isinstance(value, Flow) else ""


@pytest.mark.parametrize("flow", [provision, validate, drift, audit], ids=name_of)
def test_unknown_environment(stage: Stage, flow: Flow[..., object]) -> None:
    argument = "nowhere" if flow in (provision, validate) else ["nowhere"]
    run = stage.run(flow, argument)
    stage.require(run, "Rejected", "nowhere", "demo", str(stage.fleet.root / "environments"))


@pytest.mark.parametrize(
    ("old", "new", "line", "field"),
    [
        ("bake_seconds: 0.1", "bake_seconds: soon", 15, "traffic.bake_seconds"),
        ("bake_seconds: 0.1", "bake_minutes: 1", 15, "traffic.bake_minutes"),
        ("  playbook: ansible/tiny.yml", "  playbook: ansible/none.yml", 6, "configuration.playbook"),
        ("  timeout_seconds: 60\nvalidation", "   timeout_seconds: 60\nvalidation", 7, ""),
    ],
    ids=["wrong", "extra", "absent", "not-yaml"],
)
def test_wrong_manifest_is_named_by_file_line_and_field(
    stage: Stage, old: str, new: str, line: int, field: str
) -> None:
    stage.fleet.replace("environments/tiny.yaml", old, new)
    place = f"{stage.fleet.root}/environments/tiny.yaml:{line}"
    for flow, argument in ((provision, "tiny"), (drift, ["tiny"])):
        stage.require(stage.run(flow, argument), "Rejected", f"{place} {field}".strip())


def test_one_wrong_manifest_of_a_fleet_is_listed_first_and_the_others_are_checked(stage: Stage) -> None:
    (stage.fleet.root / "environments/tiny.yaml").write_text("")
    run = stage.run(drift)
    stage.require(run, "Incomplete", "tiny", str(stage.fleet.root / "environments/tiny.yaml"))
    assert [item.environment for item in run.result.environments] == ["cloud", "demo", "tiny"]
    reasons = {item.environment: item.not_checked[0].layer for item in run.result.environments}
    assert reasons["tiny"] is None
    assert None not in (reasons["cloud"], reasons["demo"])


@pytest.mark.parametrize("block", ["vault", "aws", "ssh", "pulumi"])
def test_missing_block(stage: Stage, block: str) -> None:
    stage.fleet.edit_manifest("tiny", credentials={block: "absent-one"})
    run = stage.run(provision, "tiny")
    stage.require(run, "PreflightFailed", f"block {block}", "'absent-one'", "environment tiny")


def test_missing_block_of_a_flow_that_only_looks(stage: Stage) -> None:
    stage.fleet.edit_manifest("tiny", credentials={"ssh": "absent-one"})
    stage.require(stage.run(validate, "tiny"), "Rejected", "VaultSshCertificates", "'absent-one'")
