"""docs/pulumi.md, carried out by the real CLI and Vault: from an empty backend to a stack with a secret."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from holdtrue.adapters.pulumi.engine import PulumiEngine
from holdtrue.errors import AccessDenied, ProgramFailed
from holdtrue.runtime.process import tool_environment
from sandbox import Sandbox
from tests.integration.test_pulumi import access_to

DOCUMENT = (Path(__file__).parents[2] / "docs" / "pulumi.md").read_text()
SECRET = "the-app-token-of-the-docs-test"
PROGRAM = """
import pulumi
config = pulumi.Config()
pulumi.export("owner", config.require("owner"))
pulumi.export("token", config.require_secret("app_token"))
pulumi.export("length", pulumi.Output.unsecret(config.require_secret("app_token").apply(len)))
"""


@dataclass(frozen=True)
class Shop:
    """A project whose program needs a value and a secret, and an empty backend."""

    sandbox: Sandbox
    project: Path
    backend: Path

    @property
    def settings(self) -> Path:
        return self.project / "Pulumi.production.yaml"

    def engine(self) -> PulumiEngine:
        return PulumiEngine(
            project=self.project,
            stack="production",
            access=access_to(self.sandbox, self.backend),
            timeout_seconds=120,
        )

    def shell(self, script: str, **environment: str) -> str:
        home = self.project.parent / "home"
        home.mkdir(exist_ok=True)
        (home / ".vault-token").write_text(self.sandbox.openbao.issue_token(ttl_seconds=600).get_secret_value())
        given = {"HOME": str(home), "VAULT_CACERT": str(self.sandbox.openbao.ca_file), "PULUMI_SKIP_UPDATE_CHECK": "1"}
        done = subprocess.run(
            ["/bin/sh", "-ec", self.local(script)],
            cwd=self.project,
            env=tool_environment({**given, **environment}),
            input=SECRET,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def local(self, script: str) -> str:
        """The page's script with this sandbox's addresses in place of the page's."""
        for theirs, ours in {
            "file:///var/lib/holdtrue/state": self.backend.as_uri(),
            "https://vault.example.com:8200": self.sandbox.openbao.address,
        }.items():
            script = script.replace(theirs, ours)
        return script


def documented() -> str:
    """The commands of the page."""
    (block,) = re.findall(r"^```sh\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
    return str(block)


@pytest.fixture
def shop(sandbox: Sandbox, tmp_path: Path) -> Shop:
    project, backend = tmp_path / "shop", tmp_path / "state"
    for folder in (project, backend):
        folder.mkdir()
    (project / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (project / "__main__.py").write_text(PROGRAM)
    subprocess.run(["git", "init", "-q", str(project)], check=True, env={"PATH": os.environ["PATH"]})
    return Shop(sandbox, project, backend)


def test_the_page_leads_to_a_first_provision(shop: Shop) -> None:
    shop.shell(documented())
    text = shop.settings.read_text()
    assert SECRET not in text
    assert set(yaml.safe_load(text)) == {"secretsprovider", "encryptedkey", "config"}
    engine = shop.engine()
    result = engine.apply(engine.preview())
    assert result.outputs.values == {"owner": "platform", "length": len(SECRET)}
    assert result.outputs.secret_names == ("token",)
    assert shop.settings.read_text() == text
    for file in shop.backend.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file


def test_settings_of_a_stack_whose_backend_was_lost_still_open(shop: Shop) -> None:
    shop.shell(documented())
    other = Shop(shop.sandbox, shop.project, shop.backend.parent / "elsewhere")
    other.backend.mkdir()
    engine = other.engine()
    result = engine.apply(engine.preview())
    assert result.outputs.values["length"] == len(SECRET)
    assert engine.preview().changes == ()


@pytest.mark.parametrize("way", ["change", "line"])
def test_a_secret_may_be_added_after_a_provision_without_any(shop: Shop, way: str) -> None:
    (shop.project / "__main__.py").write_text(
        "import pulumi\npulumi.export('owner', pulumi.Config().require('owner'))\n"
    )
    shop.settings.write_text("config:\n  shop:owner: platform\n")
    engine = shop.engine()
    engine.apply(engine.preview())
    (shop.project / "__main__.py").write_text(PROGRAM)
    lines = [line for line in documented().splitlines() if "stack init" not in line]
    (command,) = re.findall(r"`(pulumi stack change-secrets-provider [^`]+)`", DOCUMENT)
    if way == "change":
        lines.insert(2, command)
    else:
        shop.settings.write_text("secretsprovider: hashivault://pulumi\n" + shop.settings.read_text())
    shop.shell("\n".join(lines))
    assert engine.apply(engine.preview()).outputs.values["length"] == len(SECRET)


def test_what_is_missing_is_named_with_the_command_that_sets_it(shop: Shop) -> None:
    engine = shop.engine()
    for name, secret in (("shop:owner", False), ("shop:app_token", True)):
        with pytest.raises(ProgramFailed, match=f"no value for {name}") as failure:
            engine.preview()
        commands = re.findall(r"`(PULUMI_BACKEND_URL=[^`]+)`", failure.value.next_step)
        assert ("--secret" in commands[-1]) == secret
        login = next(line for line in documented().splitlines() if line.startswith("export VAULT"))
        shop.shell("\n".join([login, *commands]).replace("<value>", "some-value"))
    assert engine.preview().changes


def test_all_values_that_the_project_declares_are_named_at_once(shop: Shop) -> None:
    declared = {"owner": {"type": "string"}, "app_token": {"type": "string", "secret": True}}
    (shop.project / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "shop", "runtime": "python", "config": declared}))
    with pytest.raises(ProgramFailed, match="no value for") as failure:
        shop.engine().preview()
    assert "owner" in failure.value.what
    assert "app_token" in failure.value.what


@pytest.mark.parametrize("way", ["page", "message"])
def test_a_stack_of_a_passphrase_is_moved_by_the_command_shown(shop: Shop, way: str) -> None:
    lines = [line.replace(' --secrets-provider "hashivault://pulumi"', "") for line in documented().splitlines()]
    shop.shell("\n".join(lines), PULUMI_CONFIG_PASSPHRASE="correct horse")
    with pytest.raises(AccessDenied, match="passphrase") as refusal:
        shop.engine().preview()
    (command,) = re.findall(r"`(pulumi stack change-secrets-provider [^`]+)`", DOCUMENT)
    exports = [line for line in documented().splitlines() if line.startswith("export")]
    if way == "message":
        (command,) = re.findall(r"`(PULUMI_BACKEND_URL=[^`]+)`", refusal.value.next_step)
    shop.shell("\n".join([*exports, command]), PULUMI_CONFIG_PASSPHRASE="correct horse")
    engine = shop.engine()
    assert engine.apply(engine.preview()).outputs.values["length"] == len(SECRET)


def test_secret_values_without_their_key_are_told(shop: Shop) -> None:
    shop.shell(documented())
    settings = yaml.safe_load(shop.settings.read_text())
    shop.settings.write_text(yaml.safe_dump({"config": settings["config"]}))
    assert shop.engine().preview().changes, "the state has the key too"
    other = Shop(shop.sandbox, shop.project, shop.backend.parent / "elsewhere")
    with pytest.raises(AccessDenied, match="not the key"):
        other.engine().preview()
