"""`holdtrue preflight`: the chain from the fleet's own file, without Prefect."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from holdtrue.adapters.manifest import load_environment
from holdtrue.adapters.vault import VaultServer, open_vault
from holdtrue.adapters.vault.auth import AppRole
from holdtrue.adapters.vault.failures import Call
from holdtrue.preflight import _outlives
from holdtrue.runtime.folder import private_folder
from sandbox.deployment import block_variables, flow_environment
from sandbox.load_balancer import BACKEND
from sandbox.openbao import TOKEN_MAX_TTL_SECONDS, TOKEN_TTL_SECONDS
from tests.integration.flow_stage import Stage

pytestmark = pytest.mark.usefixtures("untouched")


def ask(stage: Stage, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return run(stage, "preflight", *arguments, **environment)


def run(stage: Stage, command: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    # Of Prefect it gets nothing, so that needing it shows.
    inherited = {name: value for name, value in flow_environment(stage.sandbox).items() if "PREFECT" not in name}
    return subprocess.run(
        (sys.executable, "-m", "holdtrue", command, "tiny", "--fleet", str(stage.fleet.root), *arguments),
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


def test_packages_that_cannot_be_had_and_tests_that_are_not_there_are_told(stage: Stage) -> None:
    stage.fleet.edit_manifest("tiny", infrastructure={"without_tests": "made by a generator"})
    project = stage.fleet.root / load_environment(stage.fleet.root, "tiny").infrastructure.project
    options = {"name": "python", "options": {"toolchain": "poetry"}}
    text = (project / "Pulumi.yaml").read_text()
    (project / "Pulumi.yaml").write_text(yaml.safe_dump(yaml.safe_load(text) | {"runtime": options}))
    done = ask(stage)
    (line,) = [line for line in broken(done) if "packages" in line]
    assert "poetry" in line
    assert re.search(r"^not.applicable +program tests.*made by a generator", done.stdout, re.MULTILINE)


def broken(done: "subprocess.CompletedProcess[str]") -> list[str]:
    assert done.returncode == 1, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("broken")]


def limited(stage: Stage, rules: str) -> dict[str, str]:
    """Variables of a login whose policy is just this."""
    stage.sandbox.openbao.write_policy("preflight-limited", rules)
    role = stage.sandbox.openbao.issue_app_role(
        "preflight-limited", policy="preflight-limited", token_ttl_seconds=1200, secret_id_ttl_seconds=300
    )
    return {"HOLDTRUE_VAULT_SECRET_ID": role.secret_id.get_secret_value(), "DEMO_ROLE_ID": role.role_id}


def test_the_policy_that_is_printed_is_enough_and_each_line_of_it_is_needed(stage: Stage) -> None:
    stage.fleet.edit_manifest("tiny", infrastructure={"timeout_seconds": 600})
    printed = run(stage, "policy", "--flow", "provision")
    assert printed.returncode == 0, printed.stderr
    lines = printed.stdout.splitlines()
    assert len(lines) >= 8
    done = ask(stage, **limited(stage, printed.stdout))
    assert done.returncode == 0, done.stdout + done.stderr
    openbao = stage.sandbox.openbao
    known = openbao.accessors()
    for line in lines:
        path = line.split('"')[1]
        found = broken(ask(stage, **limited(stage, "\n".join(other for other in lines if other != line))))
        assert any(path in text and ("sys/capabilities-self" in path or line in text) for text in found), (line, found)
    for accessor in openbao.accessors() - known:  # Without revoke-self nobody but the sweep can end a token.
        openbao.client().auth.token.revoke_accessor(accessor)


def test_what_does_not_stand_on_the_broken_link_is_asked_all_the_same(stage: Stage) -> None:
    rules = run(stage, "policy", "--flow", "provision").stdout.replace("ssh/sign/deploy", "ssh/sign/other")
    stage.fleet.edit_manifest("tiny", infrastructure={"timeout_seconds": 600})
    done = ask(stage, **limited(stage, rules))
    (line,) = broken(done)
    assert 'path "ssh/sign/deploy" { capabilities = ["update"] }' in line
    assert re.search(r"^ok +AWS identity", done.stdout, re.MULTILINE)
    assert re.search(r"^ok +stack", done.stdout, re.MULTILINE)
    assert re.search(r"^ok +load balancer", done.stdout, re.MULTILINE)
    assert re.search(r"^not.applicable +hosts: not asked", done.stdout, re.MULTILINE)


def test_a_vault_that_is_not_there_and_an_endpoint_that_is_not_aws_are_named(stage: Stage) -> None:
    (line,) = broken(ask(stage, DEMO_VAULT_ADDRESS="https://127.0.0.1:9"))
    assert "Vault login" in line
    assert "127.0.0.1:9" in line
    (line,) = broken(ask(stage, DEMO_AWS_ENDPOINT_URL="http://127.0.0.1:9"))
    assert "AWS identity" in line
    assert "127.0.0.1:9" in line


def test_a_certificate_that_the_role_does_not_sign_or_the_hosts_do_not_trust_is_named(stage: Stage) -> None:
    stage.fleet.replace("blocks.yaml", "principals: [deploy]", "principals: [nobody]")
    found = broken(ask(stage))
    assert any("hosts" in line and "principals" in line for line in found), found
    stage.fleet.reset()
    vault = stage.sandbox.openbao.client()
    if "ssh-other/" not in vault.sys.list_mounted_secrets_engines()["data"]:
        vault.sys.enable_secrets_engine("ssh", path="ssh-other")
        vault.write_data("ssh-other/config/ca", data={"generate_signing_key": True, "key_type": "ed25519"})
    vault.write_data("ssh-other/roles/deploy", data=vault.read("ssh/roles/deploy")["data"])
    stage.fleet.replace("blocks.yaml", "role: deploy", "role: deploy\n    mount: ssh-other")
    rules = run(stage, "policy", "--flow", "provision").stdout
    found = broken(ask(stage, **limited(stage, rules)))
    hosts = {host.name for host in stage.sandbox.hosts}
    assert {line.split()[2].rstrip(":") for line in found if line.split()[1] == "host"} == hosts, found


def test_a_wrapping_token_is_not_opened_for_a_question(stage: Stage) -> None:
    vault = stage.sandbox.openbao.client()
    wrapped = vault.write_data("auth/approle/role/holdtrue/secret-id", wrap_ttl="60s")["wrap_info"]["token"]
    stage.fleet.replace(
        "blocks.yaml",
        'auth: { kind: approle, role_id: "${DEMO_ROLE_ID}" }',
        'auth: { kind: approle, role_id: "${DEMO_ROLE_ID}", secret_id: '
        "{ kind: wrapped, token: { kind: environment, variable: WRAPPED } } }",
    )
    (line,) = broken(ask(stage, WRAPPED=wrapped))
    assert "only once" in line
    assert vault.sys.unwrap(wrapped)["data"]["secret_id"], "it still opens"


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


def test_a_placeholder_that_nothing_fills_is_named_and_one_of_the_program_is_not_refused(stage: Stage) -> None:
    probes = [{"name": "health", "url": "http://{adress}/"}, {"name": "new", "url": "http://{address}:{new_port}/"}]
    stage.fleet.edit_manifest("tiny", validation={"probes": probes})
    stage.fleet.write("pulumi/tiny/later.py", "PORTS = ['new_port']\n")
    done = ask(stage)
    (line,) = broken(done)
    for named in ("validation.probes[health].url", "{adress}", "{address}"):
        assert named in line
    assert re.search(r"^not.applicable +template validation.probes\[new\].url: .*new_port", done.stdout, re.MULTILINE)


def test_a_server_that_an_operator_took_out_is_named(stage: Stage) -> None:
    balancer = stage.sandbox.load_balancer
    assert balancer.command(f"set server {BACKEND}/web-2 state maint") == ""
    try:
        (line,) = broken(ask(stage))
    finally:
        assert balancer.command(f"set server {BACKEND}/web-2 state ready") == ""
    for named in ("load balancer", "web-2", "MAINT", "state ready"):
        assert named in line


def test_a_socket_that_sets_no_weights_is_known_before_anything_is_changed(stage: Stage) -> None:
    with operator_socket(stage) as path:
        stage.fleet.edit_manifest("tiny", traffic={"socket": str(path)})
        (line,) = broken(ask(stage))
    for named in ("load balancer", "level operator", "level admin", str(path)):
        assert named in line


@contextmanager
def operator_socket(stage: Stage) -> Iterator[Path]:
    """A second HAProxy with the backend of the first, whose socket may look but not change."""
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program
    with private_folder("ha") as folder:
        servers = "".join(f"  server {host.name} 127.0.0.1:9 weight 0\n" for host in stage.sandbox.hosts)
        (folder / "haproxy.cfg").write_text(
            f"global\n  stats socket {folder}/operator mode 600 level operator\n"
            "defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n"
            f"backend {BACKEND}\n{servers}"
        )
        process = subprocess.Popen([program, "-db", "-f", str(folder / "haproxy.cfg")], stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 10
            while not (folder / "operator").exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            yield folder / "operator"
        finally:
            process.kill()
            process.wait(timeout=10)
