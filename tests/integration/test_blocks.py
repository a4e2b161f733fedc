"""Blocks saved to a Prefect server, loaded by name, and used on real services."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, cast

import hvac
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_REQUEST_TIMEOUT, PREFECT_API_URL, temporary_settings
from prefect.variables import Variable

from blocks.aws import VaultAwsCredentials
from blocks.loading import load_block
from blocks.pulumi import PulumiBackend
from blocks.register import BLOCK_TYPES, register_blocks
from blocks.ssh import VaultSshCertificates
from blocks.vault import VaultCredentials, VaultSecret
from holdtrue.adapters.aws import caller_identity
from holdtrue.credentials.aws import KvAwsKeys
from holdtrue.credentials.logins import AppRoleAuth
from holdtrue.credentials.reference import CredentialReference
from holdtrue.credentials.scope import credential_scope
from holdtrue.credentials.sources import EnvironmentSource, FileSource
from holdtrue.errors import (
    AccessDenied,
    BlockMissing,
    HoldtrueError,
    RejectedError,
    ResourceMissing,
    SecretInvalid,
    ServiceNotReady,
    ServiceUnreachable,
)
from sandbox import Sandbox

VALUE = "kv-value-of-the-block-test"
FOUND = "a-value-that-was-saved-on-purpose"


@pytest.fixture(scope="module", autouse=True)
def _api(sandbox: Sandbox) -> Iterator[None]:
    """Every Prefect call of this module goes to the sandbox's server."""
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings({PREFECT_API_URL: sandbox.prefect.api_url}),
    ):
        patch.setenv("HOLDTRUE_LEDGER_URL", f"sqlite:///{sandbox.directory / 'ledger.db'}")
        yield


@pytest.fixture(scope="module")
def secret_id_file(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mounted") / "secret-id"
    path.write_text(sandbox.openbao.secret_id.get_secret_value() + "\n")
    return path


@pytest.fixture(scope="module")
def saved(sandbox: Sandbox, secret_id_file: Path) -> None:
    """One block of each type, named `block-test`, the inner one first."""
    register_blocks()
    sandbox.openbao.write_secret("holdtrue/block-test", {"password": VALUE, "empty": ""})
    vault = VaultCredentials(
        address=sandbox.openbao.address,
        ca_file=sandbox.openbao.ca_file,
        auth=AppRoleAuth(role_id=sandbox.openbao.role_id, secret_id=FileSource(path=secret_id_file)),
    )
    vault.save("block-test", overwrite=True)
    VaultSecret(vault=vault, path="holdtrue/block-test", field="password").save("block-test", overwrite=True)
    VaultAwsCredentials(
        vault=vault,
        region=sandbox.aws.region,
        endpoint_url=sandbox.aws.endpoint_url,
        source=KvAwsKeys(path="holdtrue/aws"),
    ).save("block-test", overwrite=True)
    VaultSshCertificates(
        vault=vault, role="deploy", principals=("deploy",), ttl_seconds=600, host_ca_mount="ssh-host"
    ).save("block-test", overwrite=True)
    PulumiBackend(vault=vault, url="file:///var/lib/pulumi", secrets_provider="hashivault://pulumi").save(
        "block-test", overwrite=True
    )


@pytest.fixture
def scope(sandbox: Sandbox) -> Iterator[None]:
    """What a run has around it; no token stays when it is over."""
    before = sandbox.openbao.accessors()
    with credential_scope():
        yield
    assert sandbox.openbao.accessors() <= before


@pytest.mark.usefixtures("saved", "scope")
class TestUse:
    def test_a_login(self) -> None:
        vault = load_block(VaultCredentials, "block-test").connect()
        assert vault.read_secret("secret", "holdtrue/block-test")["password"].get_secret_value() == VALUE

    def test_what_a_block_says_it_needs_is_what_vault_says_it_has(self) -> None:
        kinds = (VaultCredentials, VaultSecret, VaultAwsCredentials, VaultSshCertificates, PulumiBackend)
        references = [cast("CredentialReference", load_block(kind, "block-test")) for kind in kinds]
        needed = {path: what for reference in references for path, what in reference.capabilities().items()}
        granted = load_block(VaultCredentials, "block-test").connect().session().capabilities(needed)
        assert {path for path, capability in needed.items() if capability not in granted[path]} == set()
        assert len(needed) == 8

    def test_a_secret(self) -> None:
        assert load_block(VaultSecret, "block-test").get().get_secret_value() == VALUE

    @pytest.mark.parametrize("field", ["nothing", "empty"])
    def test_a_field_without_a_value_is_refused_by_name_only(self, field: str) -> None:
        block = load_block(VaultSecret, "block-test").model_copy(update={"field": field})
        with pytest.raises(SecretInvalid) as caught:
            block.get()
        assert "password" in str(caught.value)
        assert VALUE not in str(caught.value)

    def test_an_aws_environment_that_works(self, sandbox: Sandbox) -> None:
        environment = load_block(VaultAwsCredentials, "block-test").environment()
        assert caller_identity(environment, timeout_seconds=20).endswith(":user/holdtrue")
        assert {name: value.get_secret_value() for name, value in environment.items()} == {
            "AWS_ACCESS_KEY_ID": sandbox.aws.access_key_id,
            "AWS_SECRET_ACCESS_KEY": sandbox.aws.secret_access_key.get_secret_value(),
            "AWS_REGION": sandbox.aws.region,
            "AWS_DEFAULT_REGION": sandbox.aws.region,
            "AWS_ENDPOINT_URL": sandbox.aws.endpoint_url,
        }

    def test_temporary_keys_bring_their_token(self, sandbox: Sandbox) -> None:
        sandbox.openbao.write_secret("holdtrue/temporary", {"id": "ASIA1", "key": "k", "session_token": "of-a-while"})
        source = KvAwsKeys(path="holdtrue/temporary", access_key_id_field="id", secret_access_key_field="key")
        block = load_block(VaultAwsCredentials, "block-test").model_copy(update={"source": source})
        assert block.environment()["AWS_SESSION_TOKEN"].get_secret_value() == "of-a-while"
        keys = block.get_credentials().get_boto3_session().get_credentials()
        assert keys is not None
        assert keys.token == "of-a-while"

    def test_prefects_own_aws_block_made_in_memory(self) -> None:
        credentials = load_block(VaultAwsCredentials, "block-test").get_credentials()
        assert credentials.get_client("sts").get_caller_identity()["Arn"].endswith(":user/holdtrue")
        assert credentials.get_boto3_session().client("sts").get_caller_identity()["Arn"].endswith(":user/holdtrue")

    def test_prefects_own_aws_block_shows_no_key_and_cannot_be_saved(self, sandbox: Sandbox) -> None:
        credentials = load_block(VaultAwsCredentials, "block-test").get_credentials()
        shown = f"{credentials!r} {credentials} {credentials.model_dump()}"
        assert sandbox.aws.access_key_id not in shown
        assert sandbox.aws.secret_access_key.get_secret_value() not in shown
        with pytest.raises(TypeError, match="one run only"):
            credentials.save("anything")

    def test_an_ssh_identity_that_the_ca_signed(self) -> None:
        block = load_block(VaultSshCertificates, "block-test")
        before = datetime.now(UTC)
        identity = block.issue()
        assert identity.certificate.startswith("ssh-ed25519-cert-v01@openssh.com ")
        assert identity.principals == ("deploy",)
        assert timedelta(0) <= identity.expires_at - before - timedelta(seconds=600) < timedelta(seconds=5)
        shown = _keygen_certificate(identity.certificate)
        assert "deploy" in shown

    def test_host_ca_lines(self, sandbox: Sandbox) -> None:
        lines = load_block(VaultSshCertificates, "block-test").host_ca_lines()
        assert lines == (f"@cert-authority * {sandbox.openbao.host_ca}",)

    def test_stack_access_whose_token_dies_with_the_scope(self) -> None:
        with credential_scope() as scope:
            cloud = load_block(VaultAwsCredentials, "block-test").environment()
            access = load_block(PulumiBackend, "block-test").open(cloud, operation_seconds=60)
            values = {name: value.get_secret_value() for name, value in access.environment.items()}
            client = hvac.Client(values["VAULT_ADDR"], token=values["VAULT_TOKEN"], verify=values["VAULT_CACERT"])
            made = client.write_data("transit/encrypt/pulumi", data={"plaintext": "aGVsbG8="})
            assert made["data"]["ciphertext"].startswith("vault:")
            assert values["VAULT_TOKEN"] not in repr(access)
            scope.close()
        assert access.backend_url == values["PULUMI_BACKEND_URL"] == "file:///var/lib/pulumi"
        assert access.secrets_provider == "hashivault://pulumi"
        assert set(cloud) < set(values)
        assert "VAULT_NAMESPACE" not in values
        with pytest.raises(hvac.exceptions.Forbidden):
            client.auth.token.lookup_self()

    def test_a_secret_id_that_is_not_there(self) -> None:
        block = load_block(VaultCredentials, "block-test")
        lost = EnvironmentSource(variable="HOLDTRUE_NO_SUCH_VARIABLE")
        login = AppRoleAuth(role_id="role", secret_id=lost)
        with pytest.raises(ResourceMissing):
            block.model_copy(update={"auth": login}).connect().session()


def _keygen_certificate(line: str) -> str:
    return subprocess.run(
        ("ssh-keygen", "-L", "-f", "-"), input=line + "\n", capture_output=True, text=True, check=True, timeout=20
    ).stdout


def test_registering_again_changes_nothing(sandbox: Sandbox) -> None:
    def types() -> list[Any]:
        with get_client(sync_client=True) as client:
            return [client.read_block_type_by_slug(slug).model_dump() for slug in slugs]

    slugs = register_blocks()
    first = types()
    assert slugs == tuple(block.get_block_type_slug() for block in BLOCK_TYPES)
    assert register_blocks() == slugs
    assert types() == first
    command = subprocess.run(
        (sys.executable, "-m", "blocks.register"),
        env={"PATH": "/usr/bin:/bin", **sandbox.prefect.environment()},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert tuple(command.stdout.split()) == slugs
    assert types() == first


# What can go wrong with a name


@pytest.mark.usefixtures("saved")
def test_a_block_that_is_not_there_is_missing() -> None:
    with pytest.raises(BlockMissing) as caught:
        load_block(VaultCredentials, "nobody")
    assert "no VaultCredentials block named 'nobody'" in str(caught.value)
    assert caught.value.next_step


@pytest.mark.usefixtures("saved")
def test_a_document_that_does_not_fit_is_rejected_without_its_content() -> None:
    pasted = "pasted-by-mistake"
    with get_client(sync_client=True) as client:
        document = client.read_block_document_by_name("block-test", VaultCredentials.get_block_type_slug())
        response = client._client.post(
            "/block_documents/",
            json={
                "name": "odd",
                "data": document.data | {"address": "nonsense", "timeout": pasted},
                "block_type_id": str(document.block_type_id),
                "block_schema_id": str(document.block_schema_id),
            },
        )
        response.raise_for_status()
    with pytest.raises(RejectedError) as caught:
        load_block(VaultCredentials, "odd")
    assert "address" in str(caught.value)
    assert "timeout" in str(caught.value)
    assert pasted not in str(caught.value)


def test_an_api_that_is_down_is_unreachable() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    began = time.monotonic()
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}), pytest.raises(ServiceUnreachable):
        load_block(VaultCredentials, "block-test")
    assert time.monotonic() - began < 20


@pytest.mark.usefixtures("saved")
def test_an_api_that_hangs_is_unreachable(sandbox: Sandbox) -> None:
    sandbox.prefect.pause()
    began = time.monotonic()
    try:
        with temporary_settings({PREFECT_API_REQUEST_TIMEOUT: 0.5}), pytest.raises(ServiceUnreachable):
            load_block(VaultCredentials, "block-test")
    finally:
        sandbox.prefect.resume()
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(("status", "kind"), [(401, AccessDenied), (403, AccessDenied), (500, ServiceNotReady)])
def test_an_api_that_refuses_is_told_apart(status: int, kind: type[HoldtrueError]) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
            """Stay quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/api"
            with temporary_settings({PREFECT_API_URL: url}), pytest.raises(HoldtrueError) as caught:
                load_block(VaultCredentials, "block-test")
        finally:
            server.shutdown()
            thread.join()
    assert type(caught.value) is kind
    assert str(status) in str(caught.value)


# Nothing secret is kept by Prefect


@pytest.mark.usefixtures("saved")
def test_prefect_keeps_references_only(sandbox: Sandbox) -> None:
    Variable.set("block_test_control", FOUND, overwrite=True)
    VaultCredentials(address="https://vault.example.org:8200", auth=AppRoleAuth(role_id=FOUND)).save(
        "control", overwrite=True
    )
    with credential_scope():
        load_block(VaultSecret, "block-test").get()
    secrets = {sandbox.openbao.secret_id.get_secret_value(), VALUE, sandbox.aws.secret_access_key.get_secret_value()}

    files = [path for path in sandbox.prefect.home.rglob("*") if path.is_file()]
    assert _holders(files, {FOUND}), "the search does not see a value that Prefect stores as it is"
    assert _holders(files, secrets) == []

    # Block documents are encrypted in the database, so they are searched as the API hands them out in clear.
    with get_client(sync_client=True) as client:
        answer = client._client.post("/block_documents/filter", json={"include_secrets": True, "limit": 200})
    documents = json.dumps(answer.json())
    assert FOUND in documents
    assert not [secret for secret in secrets if secret in documents]


def _holders(files: list[Path], values: set[str]) -> list[Path]:
    return [path for path in files if any(value.encode() in path.read_bytes() for value in values)]
