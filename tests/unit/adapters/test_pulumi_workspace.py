"""The private folder, the settings in it, and the plans kept in memory."""

import json
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from holdtrue.adapters.pulumi.cli import require_cli
from holdtrue.adapters.pulumi.engine import PulumiEngine
from holdtrue.adapters.pulumi.plans import PlanKey, SavedPlan, keep_plan, take_plan
from holdtrue.adapters.pulumi.workspace import open_workspace, read_project, secret_values, stack_settings
from holdtrue.errors import AccessDenied, HoldtrueError, ProgramFailed, ToolMissing
from holdtrue.models.credentials import StackAccess

PROVIDER = "hashivault://pulumi"


def access(backend: Path, provider: str = PROVIDER, **environment: str) -> StackAccess:
    return StackAccess(
        backend_url=backend.as_uri(),
        secrets_provider=provider,
        environment={name: SecretStr(value) for name, value in environment.items()},
    )


def project(folder: Path, text: str = "name: demo\nruntime: python\n", settings: str | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "Pulumi.yaml").write_text(text)
    (folder / "__main__.py").write_text("")
    if settings is not None:
        (folder / "Pulumi.dev.yaml").write_text(settings)
    return folder


def checkpoint(backend: Path, state: dict[str, str], kind: str = "cloud") -> None:
    path = backend / ".pulumi/stacks/demo/dev.json"
    path.parent.mkdir(parents=True)
    latest = {"secrets_providers": {"type": kind, "state": state}}
    path.write_text(json.dumps({"version": 3, "checkpoint": {"latest": latest}}))


@pytest.mark.parametrize(
    "text", ["", "]", "runtime: python\n", "name: demo\nruntime: nodejs\n", "name: demo\nruntime: python\nmain: gone\n"]
)
def test_a_bad_project_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ProgramFailed):
        read_project(project(tmp_path, text))


def test_a_missing_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailed) as refusal:
        read_project(tmp_path)
    assert str(tmp_path) in refusal.value.where


def test_main_and_runtime_options_are_read(tmp_path: Path) -> None:
    folder = project(tmp_path, "name: demo\nmain: src\nruntime:\n  name: python\n  options: {virtualenv: venv}\n")
    (folder / "src").mkdir()
    (folder / "src/__main__.py").write_text("")
    assert read_project(folder).program == folder / "src"


def test_the_private_project_file_finds_the_projects_plugins(tmp_path: Path) -> None:
    text = "name: demo\nmain: .\nruntime: python\nplugins:\n  providers:\n  - {name: own, path: bin}\n"
    written = yaml.safe_load(read_project(project(tmp_path, text)).text)
    assert written["plugins"]["providers"] == [{"name": "own", "path": str(tmp_path / "bin")}]
    assert "main" not in written


def test_settings_get_the_provider_and_the_recorded_key(tmp_path: Path) -> None:
    found = read_project(project(tmp_path / "p", settings="config:\n  demo:owner: x\n"))
    backend = tmp_path / "state"
    assert yaml.safe_load(stack_settings(found, "dev", access(backend))) == {
        "config": {"demo:owner": "x"},
        "secretsprovider": PROVIDER,
    }
    checkpoint(backend, {"url": PROVIDER, "encryptedkey": "k3y"})
    assert yaml.safe_load(stack_settings(found, "dev", access(backend)))["encryptedkey"] == "k3y"


@pytest.mark.parametrize(
    "settings", ["config:\n  x: yes\n  y: 12:30\n  z: {of: [1.10]}\n", "{config: {x: yes, y: 12:30}}", ""]
)
def test_values_of_settings_stay_as_they_are_written(tmp_path: Path, settings: str) -> None:
    """PyYAML reads some plain values differently from the engine."""
    found = read_project(project(tmp_path / "p", settings=settings))
    text = stack_settings(found, "dev", access(tmp_path / "state"))
    as_texts = yaml.load(settings, yaml.BaseLoader) or {}  # noqa: S506 - texts only
    assert yaml.load(text, yaml.BaseLoader) == as_texts | {"secretsprovider": PROVIDER}  # noqa: S506 - texts only
    assert yaml.safe_load(text) == (yaml.safe_load(settings) or {}) | {"secretsprovider": PROVIDER}


def test_a_passphrase_stack_gets_its_salt(tmp_path: Path) -> None:
    found = read_project(project(tmp_path / "p"))
    checkpoint(tmp_path / "state", {"salt": "v1:abc"}, kind="passphrase")
    text = stack_settings(found, "dev", access(tmp_path / "state", "passphrase"))
    assert yaml.safe_load(text) == {"encryptionsalt": "v1:abc"}


def test_the_users_own_provider_stays(tmp_path: Path) -> None:
    text = "secretsprovider: awskms://k\nencryptedkey: mine\n"
    found = read_project(project(tmp_path / "p", settings=text))
    assert stack_settings(found, "dev", access(tmp_path / "state")) == text


@pytest.mark.parametrize("text", ["encryptionsalt: v1:abc\n", "secretsprovider: passphrase\nencryptionsalt: v1:abc\n"])
def test_settings_of_a_passphrase_need_one(tmp_path: Path, text: str) -> None:
    found = read_project(project(tmp_path / "p", settings=text))
    with pytest.raises(AccessDenied, match="passphrase") as refusal:
        stack_settings(found, "dev", access(tmp_path / "state"))
    command = f"pulumi stack change-secrets-provider {PROVIDER} --stack dev"
    assert f"PULUMI_BACKEND_URL={(tmp_path / 'state').as_uri()} {command}" in refusal.value.next_step
    for given in (
        access(tmp_path / "state", PULUMI_CONFIG_PASSPHRASE="x"),
        access(tmp_path / "state", PULUMI_CONFIG_PASSPHRASE_FILE="x"),
        access(tmp_path / "state", "passphrase"),
    ):
        assert stack_settings(found, "dev", given) == text


@pytest.mark.parametrize("value", ["{secure: abc}", "[a, {b: {secure: abc}}]"])
def test_secret_values_without_a_key_are_refused(tmp_path: Path, value: str) -> None:
    found = read_project(project(tmp_path / "p", settings=f"config:\n  demo:token: {value}\n"))
    backend = tmp_path / "state"
    with pytest.raises(AccessDenied, match="not the key") as refusal:
        stack_settings(found, "dev", access(backend))
    assert refusal.value.where.endswith("Pulumi.dev.yaml")
    checkpoint(backend, {"url": PROVIDER, "encryptedkey": "k3y"})
    assert yaml.safe_load(stack_settings(found, "dev", access(backend)))["encryptedkey"] == "k3y"


def test_another_provider_than_the_states_is_refused(tmp_path: Path) -> None:
    found = read_project(project(tmp_path / "p"))
    checkpoint(tmp_path / "state", {"url": "hashivault://other", "encryptedkey": "k"})
    with pytest.raises(AccessDenied, match="hashivault://other"):
        stack_settings(found, "dev", access(tmp_path / "state"))


def test_unreadable_settings_are_refused(tmp_path: Path) -> None:
    found = read_project(project(tmp_path / "p", settings="a: [\n"))
    with pytest.raises(ProgramFailed):
        stack_settings(found, "dev", access(tmp_path / "state"))


def test_the_folder_is_private_isolated_and_gone_afterwards(tmp_path: Path) -> None:
    found = read_project(project(tmp_path / "p"))
    with open_workspace(found, "dev", access(tmp_path / "state", AWS_SECRET_ACCESS_KEY="hunter2")) as workspace:
        assert workspace.folder.stat().st_mode & 0o777 == 0o700
        assert workspace.environment["PULUMI_HOME"].startswith(str(workspace.folder))
        assert workspace.environment["AWS_SECRET_ACCESS_KEY"] == "hunter2"
        assert "hunter2" not in "".join(path.read_text() for path in workspace.folder.glob("*.yaml"))
    assert not workspace.folder.exists()
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["Pulumi.yaml", "__main__.py"]


def test_addresses_are_no_secrets_unless_they_hold_one(tmp_path: Path) -> None:
    given = access(
        tmp_path,
        VAULT_ADDR="https://vault.example",
        VAULT_TOKEN="s.token",
        AWS_ENDPOINT_URL="https://user:pw@aws.example",
        AWS_ENDPOINT_URL_S3="https://s3.example",
        AWS_DEFAULT_REGION="eu-central-1",
    )
    assert secret_values(given) == ("s.token", "https://user:pw@aws.example")


def fake_cli(folder: Path, body: str) -> dict[str, str]:
    folder.mkdir()
    (folder / "pulumi").write_text(f"#!/bin/sh\n{body}\n")
    (folder / "pulumi").chmod(0o755)
    return {"PATH": str(folder)}


def test_an_old_absent_or_broken_cli_is_missing(tmp_path: Path) -> None:
    assert require_cli(fake_cli(tmp_path / "good", "echo v3.300.1")) == "3.300.1"
    assert require_cli(fake_cli(tmp_path / "dev", "echo v3.259.0-alpha.1")) == "3.259.0"
    for name, body in {"old": "echo v3.258.9", "mute": "true", "dead": "exit 1", "text": "echo hello"}.items():
        with pytest.raises(ToolMissing):
            require_cli(fake_cli(tmp_path / name, body))
    with pytest.raises(ToolMissing):
        require_cli({"PATH": str(tmp_path)})
    nothing = fake_cli(tmp_path / "noexec", "")
    (tmp_path / "noexec/pulumi").write_text("\0 not a program")
    with pytest.raises(ToolMissing):
        require_cli(nothing)


def test_an_upgrade_in_place_is_noticed(tmp_path: Path) -> None:
    environment = fake_cli(tmp_path / "bin", "echo v3.300.1")
    assert require_cli(environment) == "3.300.1"
    (tmp_path / "bin/pulumi").write_text("#!/bin/sh\necho v3.301.12\n")
    assert require_cli(environment) == "3.301.12"


OUTPUTS = """echo "$@" >> "$(dirname "$0")/asked"; [ "$1" = version ] && echo v3.300.1 || echo '{"hosts": []}'"""
OLD = 'if [ "$1" = version ]; then echo v3.258.9; else echo "unknown flag: --json" >&2; exit 255; fi'
MUTE = "true"
TALKS = '[ "$1" = version ] && echo v3.300.1 || echo "This is no document"'
FAILS = 'if [ "$1" = version ]; then echo v3.300.1; else echo "error: no stack named dev found" >&2; exit 255; fi'


def engine_of(tmp_path: Path, body: str) -> PulumiEngine:
    path = f"{fake_cli(tmp_path / 'bin', body)['PATH']}:/usr/bin:/bin"
    given = access(tmp_path, provider="default", PATH=path)
    return PulumiEngine(project=project(tmp_path / "project"), stack="dev", access=given, timeout_seconds=10)


def test_outputs_are_read_by_one_start_of_the_cli(tmp_path: Path) -> None:
    assert engine_of(tmp_path, OUTPUTS).outputs().values == {"hosts": []}
    (asked,) = (tmp_path / "bin/asked").read_text().splitlines()
    assert asked.startswith("stack output")


@pytest.mark.parametrize(("body", "kind"), [(OLD, ToolMissing), (MUTE, ToolMissing), (TALKS, ProgramFailed)])
def test_a_cli_that_does_not_tell_the_outputs_is_asked_its_version(
    tmp_path: Path, body: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        engine_of(tmp_path, body).outputs()


def test_the_cli_s_own_refusal_is_told(tmp_path: Path) -> None:
    with pytest.raises(HoldtrueError, match="dev"):
        engine_of(tmp_path, FAILS).outputs()


def test_a_saved_plan_is_handed_out_once_and_the_oldest_is_forgotten() -> None:
    keys = [PlanKey("/p", "dev", "file:///s", str(number)) for number in range(9)]
    for key in keys:
        keep_plan(key, SavedPlan(key.digest.encode(), settings="", stack_absent=False, steps={}, outputs={}))
    assert take_plan(keys[0]) is None
    last = take_plan(keys[8])
    assert last is not None
    assert last.content == b"8"
    assert take_plan(keys[8]) is None
    for key in keys:
        take_plan(key)
