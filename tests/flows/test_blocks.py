"""What every block type owes Prefect's catalogue, and what no document may hold. No server, no network."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites.blocks import BlockStandardTestSuite
from pydantic import HttpUrl, SecretStr, ValidationError

from blocks.aws import VaultAwsCredentials
from blocks.pulumi import PulumiBackend
from blocks.reference import Reference
from blocks.register import BLOCK_TYPES
from blocks.ssh import VaultSshCertificates
from blocks.vault import VaultCredentials, VaultSecret
from holdtrue.credentials.aws import KvAwsKeys
from holdtrue.credentials.logins import AppRoleAuth
from holdtrue.credentials.sources import EnvironmentSource, FileSource
from holdtrue.errors import HoldtrueError, ResourceMissing, SecretInvalid

PASTED = "s3cret-id-pasted-into-the-form"


@pytest.mark.parametrize("block", BLOCK_TYPES)
class TestCatalogue(BlockStandardTestSuite):
    @pytest.fixture
    def block(self) -> type[Block]:
        """Replaced by the parameter."""
        raise NotImplementedError

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """The suite downloads it; here its address must be one that the catalogue takes."""
        assert isinstance(block._logo_url, HttpUrl)
        assert block._logo_url.scheme == "https"


@pytest.mark.parametrize(
    ("block", "slug"),
    [
        (VaultCredentials, "holdtrue-vault-credentials"),
        (VaultSecret, "holdtrue-vault-secret"),
        (VaultAwsCredentials, "holdtrue-vault-aws-credentials"),
        (VaultSshCertificates, "holdtrue-vault-ssh-certificates"),
        (PulumiBackend, "holdtrue-pulumi-backend"),
    ],
)
def test_saved_documents_are_found_by_these_slugs(block: type[Reference], slug: str) -> None:
    assert block in BLOCK_TYPES
    assert block.get_block_type_slug() == slug


@pytest.mark.parametrize("block", BLOCK_TYPES)
def test_no_field_can_hold_a_secret_but_a_token_by_choice(block: type[Reference]) -> None:
    """Prefect lists the token's field as `auth.*`, for any form of `auth` that has a secret."""
    allowed = {"auth.value", "auth.*", "vault.auth.value", "vault.auth.*"}
    assert set(block.model_json_schema()["secret_fields"]) <= allowed


def test_the_check_above_sees_a_secret_field() -> None:
    class WithSecret(Block):
        password: SecretStr

    assert WithSecret.model_json_schema()["secret_fields"] == ["password"]


def _vault(**changes: Any) -> VaultCredentials:
    fields: dict[str, Any] = {"address": "https://vault.example.org:8200", "auth": AppRoleAuth(role_id="role")}
    return VaultCredentials(**(fields | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"secret_id": PASTED},
        {"auth": {"kind": "approle", "role_id": "role", "secret_id": PASTED}},
        {"auth": {"kind": "approle", "role_id": "role", "secret_id": {"kind": "plain", "value": PASTED}}},
        {"auth": {"kind": "token", "token": PASTED}},
        {"address": f"https://user:{PASTED}@vault.example.org:8200"},
        {"address": "vault.example.org"},
        {"timeout_seconds": 0},
    ],
)
def test_a_document_that_does_not_fit_is_refused_without_being_repeated(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        _vault(**changes)
    assert PASTED not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "https://api.pulumi.com"},
        {"url": "s3://key:secret@bucket"},
        {"secrets_provider": "passphrase"},
    ],
)
def test_a_backend_that_would_need_a_stored_secret_is_refused(changes: dict[str, str]) -> None:
    good = {"url": "file:///var/lib/pulumi", "secrets_provider": "hashivault://pulumi"}
    assert PulumiBackend(vault=_vault(), **good).url == good["url"]
    with pytest.raises(ValidationError):
        PulumiBackend(vault=_vault(), **(good | changes))


def test_a_document_of_another_type_is_refused() -> None:
    with pytest.raises(ValidationError):
        _vault(block_type_slug="holdtrue-vault-secret")
    assert _vault(block_type_slug="holdtrue-vault-credentials").address


def test_a_document_survives_a_round_trip() -> None:
    document = PulumiBackend(
        url="file:///var/lib/pulumi",
        secrets_provider="hashivault://pulumi",
        vault=_vault(
            ca_file=Path("/etc/ca.pem"), auth=AppRoleAuth(role_id="r", secret_id=FileSource(path=Path("/run/id")))
        ),
    )
    assert PulumiBackend.model_validate(document.model_dump(mode="json")) == document


def test_each_block_names_what_its_policy_needs() -> None:
    vault = _vault()
    ssh = VaultSshCertificates(vault=vault, role="deploy", principals=("deploy",), host_ca_mount="ssh-host")
    aws = VaultAwsCredentials(vault=vault, region="eu-central-1", source=KvAwsKeys(mount="kv/team", path="cloud/aws"))
    assert vault.capabilities() == {
        "auth/token/lookup-self": "read",
        "auth/token/renew-self": "update",
        "auth/token/revoke-self": "update",
    }
    assert VaultSecret(vault=vault, path="app", field="a").capabilities() == {"secret/data/app": "read"}
    assert aws.capabilities() == {"kv/team/data/cloud/aws": "read"}
    assert ssh.capabilities() == {"ssh/sign/deploy": "update"}


@pytest.mark.parametrize(
    ("provider", "paths"),
    [
        ("hashivault://pulumi", {"transit/encrypt/pulumi", "transit/decrypt/pulumi"}),
        ("hashivault://pulumi?engine=team/transit", {"team/transit/encrypt/pulumi", "team/transit/decrypt/pulumi"}),
        ("awskms://alias/pulumi?region=eu-central-1", set()),
    ],
)
def test_a_backend_names_the_paths_of_its_key(provider: str, paths: set[str]) -> None:
    backend = PulumiBackend(vault=_vault(), url="file:///state", secrets_provider=provider)
    assert backend.capabilities() == dict.fromkeys(paths, "update")


def _no_unwrap(_: SecretStr) -> SecretStr:
    raise AssertionError("nothing here is wrapped")


def test_the_secret_id_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET_ID", " the-secret-id\n")
    assert EnvironmentSource(variable="MY_SECRET_ID").read(_no_unwrap).get_secret_value() == "the-secret-id"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("MY_SECRET_ID", raising=False)
    if value is not None:
        monkeypatch.setenv("MY_SECRET_ID", value)
    with pytest.raises(ResourceMissing, match="MY_SECRET_ID"):
        EnvironmentSource(variable="MY_SECRET_ID").read(_no_unwrap)


def test_the_secret_id_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("the-secret-id\n")
    assert FileSource(path=tmp_path / "id").read(_no_unwrap).get_secret_value() == "the-secret-id"


@pytest.mark.parametrize(
    ("content", "kind"), [(None, ResourceMissing), (b"", SecretInvalid), (b"\xff\xfe\x00", ResourceMissing)]
)
def test_a_file_without_a_secret_id_is_named(tmp_path: Path, content: bytes | None, kind: type[HoldtrueError]) -> None:
    path = tmp_path / "id"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(kind, match=str(path)):
        FileSource(path=path).read(_no_unwrap)


def test_importing_the_blocks_costs_little_over_prefect() -> None:
    program = """
import time, prefect, prefect.blocks.core
began = time.process_time()
import blocks.register, blocks.loading
print(time.process_time() - began)
import sys
print(sorted({"hvac", "boto3", "prefect_aws", "asyncssh", "pulumi"} & set(sys.modules)))
"""
    answer = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=True, timeout=60)
    seconds, heavy = answer.stdout.split("\n", 1)
    assert float(seconds) < 0.3
    assert heavy.strip() == "[]"
