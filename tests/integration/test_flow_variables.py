"""Variables, secrets, tags and structured host data of a manifest, through whole flows with a real Vault."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from blocks.vault import VaultCredentials, VaultSecret
from flows.drift import drift
from flows.provision import provision
from holdtrue.models.drift import DriftReport
from holdtrue.models.report import ProvisionReport
from sandbox.deployment import BLOCK_NAME
from tests.integration.flow_evidence import holders, nothing_left
from tests.integration.flow_stage import TINY_PLAYBOOK, EndedRun, Stage
from tests.integration.test_cli_preflight import ask, broken, limited, run

BLOCK = "tiny-password"
PATH = "holdtrue/tiny"
FIRST, SECOND = "canary-{{ 7 * 7 }}-first/4Kd", "canary-second+8Zq\nof two lines"
DISKS = [{"name": "data", "sizes": [10, 20], "label": "{{ 7 * 7 }}"}]

PLAYBOOK = f"""\
{TINY_PLAYBOOK}      tags: [files]
    - name: Write what was given
      ansible.builtin.copy:
        content: "{{{{ {{'password': password, 'greeting': greeting, 'disks': disks}} | to_json }}}}"
        dest: "{{{{ root }}}}/given.json"
        mode: "0600"
      tags: [files]
    - name: Show it, without no_log
      ansible.builtin.command: {{argv: [echo, "{{{{ password }}}}"]}}
      changed_when: false
      check_mode: false
      tags: [files]
    - name: Break everything
      ansible.builtin.command: "false"
      tags: [slow]
"""

DECLARED = f"""
  - type: vault-secret
    name: {BLOCK}
    vault: demo
    path: {PATH}
    field: password
"""


@pytest.fixture
def secret_block(stage: Stage) -> Iterator[None]:
    """The block, the secret behind it, and the environment that names it; the baseline again after that."""
    stage.sandbox.openbao.write_secret(PATH, {"password": FIRST})
    login = VaultCredentials.load(BLOCK_NAME)
    assert isinstance(login, VaultCredentials)
    VaultSecret(vault=login, path=PATH, field="password").save(BLOCK, overwrite=True)
    stage.fleet.write("ansible/tiny.yml", PLAYBOOK)
    stage.fleet.write("blocks.yaml", (stage.fleet.root / "blocks.yaml").read_text() + DECLARED)
    stage.fleet.edit_manifest(
        "tiny",
        configuration={
            "variables": {"greeting": "{{ hello }}"},
            "secrets": {"password": BLOCK},
            "skip_tags": ["slow"],
            "tags": ["files"],
        },
    )
    yield
    stage.fleet.reset()


@pytest.fixture
def structured_hosts(stage: Stage) -> Iterator[None]:
    """Hosts with a list among their variables, and the program's own outputs again after that."""
    outputs = json.loads((stage.fleet.root / "pulumi/tiny/outputs.json").read_text())
    for host in outputs["hosts"]:
        host["variables"]["disks"] = DISKS
    stage.fleet.write("pulumi/tiny/outputs.json", json.dumps(outputs))
    yield
    stage.fleet.reset()
    assert stage.run(provision, "tiny").type == "COMPLETED"


def given(stage: Stage) -> list[object]:
    return [json.loads((host.world / "given.json").read_text()) for host in stage.sandbox.hosts]


def require_no_canary(stage: Stage, ended: EndedRun) -> None:
    texts = stage.texts(ended)
    stage.require_no_secret(texts, ended.name)
    for piece in ("canary-", "first/4Kd", "second+8Zq", "of two lines"):
        assert holders(texts, lambda text, piece=piece: piece in text) == []  # type: ignore[misc]
    assert holders(texts, lambda text: "Write what was given" in text), "the search sees the playbook's words"


@pytest.mark.usefixtures("secret_block", "structured_hosts")
def test_the_whole_story(stage: Stage) -> None:
    first = stage.run(provision, "tiny")
    assert first.name == "Provisioned", first.message
    expected = {"password": FIRST, "greeting": "{{ hello }}", "disks": DISKS}
    assert given(stage) == [expected] * len(stage.sandbox.hosts)
    require_no_canary(stage, first)
    assert isinstance(first.result, ProvisionReport)
    for part in (first.result.configured, first.result.verified):
        assert part is not None
        assert part.selection == "with the tags files and without the tags slow"
    log = "".join(stage.texts(first).values())
    headings = [f"=== {stage_name} | tiny ===" for stage_name in ("configure hosts", "prove idempotent")]
    assert log.index(headings[0]) < log.index(headings[1])
    assert "Only tasks with the tags files and without the tags slow were run" in log

    assert stage.run(provision, "tiny").name == "Unchanged"
    look = stage.run(drift, ["tiny"])
    assert look.name == "InSync", look.message
    assert isinstance(look.result, DriftReport)
    assert "tasks with the tags files" in "".join(look.result.environments[0].selections.values())
    assert "=== check configuration | tiny ===" in "".join(stage.texts(look).values())

    stage.sandbox.openbao.write_secret(PATH, {"password": SECOND})
    drifted = stage.run(drift, ["tiny"])
    assert drifted.name == "Drifted", drifted.message
    require_no_canary(stage, drifted)
    assert given(stage) == [expected] * len(stage.sandbox.hosts), "reading never writes"
    assert stage.run(provision, "tiny").name == "Provisioned"
    assert given(stage) == [expected | {"password": SECOND}] * len(stage.sandbox.hosts)


@pytest.mark.usefixtures("secret_block")
@pytest.mark.parametrize("wrong", ["path", "field", "block", "policy"])
def test_a_secret_that_cannot_be_read_is_found_before_anything_changes(stage: Stage, wrong: str) -> None:
    openbao = stage.sandbox.openbao
    named = f"secret {BLOCK}"
    match wrong:
        case "path":
            openbao.client().secrets.kv.v2.delete_metadata_and_all_versions(PATH, mount_point="secret")
        case "field":
            openbao.write_secret(PATH, {"passwort": FIRST})
        case "block":
            stage.fleet.edit_manifest("tiny", configuration={"secrets": {"password": "no-such-block"}})
            named = "block secret no-such-block"
        case _:
            login = VaultCredentials.load(BLOCK_NAME)
            assert isinstance(login, VaultCredentials)
            VaultSecret(vault=login, path="elsewhere/tiny", field="password").save(BLOCK, overwrite=True)
            named = 'path "secret/data/elsewhere/tiny" { capabilities = ["read"] }'
    with nothing_left(stage.sandbox):
        refused = stage.run(provision, "tiny")
    stage.require(refused, "PreflightFailed", named)
    with nothing_left(stage.sandbox):
        look = stage.run(drift, ["tiny"])
    stage.require(look, "Incomplete", "configuration")


def line_about_the_secret(done: "subprocess.CompletedProcess[str]") -> str:
    lines = [line for line in done.stdout.splitlines() if line.split(maxsplit=1)[1].startswith(f"secret {BLOCK}: ")]
    assert len(lines) == 1, done.stdout + done.stderr
    return lines[0]


@pytest.mark.usefixtures("secret_block")
class TestTheCommandLine:
    def test_asks_for_the_secret_and_keeps_it(self, stage: Stage) -> None:
        done = ask(stage)
        assert done.returncode == 0, done.stdout + done.stderr
        assert line_about_the_secret(done).startswith("ok")
        assert "canary" not in done.stdout + done.stderr
        stage.sandbox.openbao.write_secret(PATH, {"password": "short"})
        assert "not redacted" in line_about_the_secret(ask(stage))

    def test_prints_the_policy_without_which_it_names_the_line(self, stage: Stage) -> None:
        flows = ("provision", "drift", "validate", "sweep")
        rules = {flow: run(stage, "policy", "--flow", flow).stdout.splitlines() for flow in flows}
        needed = f'path "secret/data/{PATH}"'
        named = [flow for flow, lines in rules.items() if any(line.startswith(needed) for line in lines)]
        assert named == ["provision", "drift"], "the others run no playbook"
        without = "\n".join(line for line in rules["provision"] if not line.startswith(needed))
        done = ask(stage, **limited(stage, without))
        assert any(needed in line for line in broken(done))
        assert "not asked" in line_about_the_secret(done)

    def test_reads_a_secret_of_another_login_with_that_login(self, stage: Stage) -> None:
        """The policy of the environment's own login says nothing about it."""
        stage.fleet.replace("blocks.yaml", f"name: {BLOCK}\n    vault: demo", f"name: {BLOCK}\n    vault: sweeper")
        done = ask(stage)
        assert broken(done) == [line_about_the_secret(done)]
        assert f"Vault policy secret/data/{PATH}" not in done.stdout
        assert PATH not in run(stage, "policy", "--flow", "provision").stdout
        stage.fleet.replace(
            "blocks.yaml",
            "secret_id: { kind: environment, variable: HOLDTRUE_SWEEP_SECRET_ID }",
            "secret_id: { kind: wrapped, token: { kind: environment, variable: HOLDTRUE_SWEEP_SECRET_ID } }",
        )
        assert "not asked" in line_about_the_secret(ask(stage)), "a wrapping token is not opened for a question"
