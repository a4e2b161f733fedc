"""The demo project on the real engine: real CLI, moto as AWS, OpenBao's transit key for the stack's secrets."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from holdtrue.adapters.pulumi import plans
from holdtrue.adapters.pulumi.engine import PulumiEngine
from holdtrue.errors import ProgramFailed
from holdtrue.models.base import Progress
from holdtrue.models.credentials import StackAccess
from holdtrue.models.stack import Operation
from holdtrue.runtime.process import find_marked
from sandbox import Sandbox

DEMO = Path(__file__).parents[2] / "fleet" / "pulumi" / "demo"
TIMEOUT_SECONDS = 120.0


def access_to(sandbox: Sandbox, backend: Path) -> StackAccess:
    """What the blocks would hand over."""
    token = sandbox.openbao.issue_token(ttl_seconds=600)
    return StackAccess(
        backend_url=backend.as_uri(),
        secrets_provider="hashivault://pulumi",
        environment={
            "AWS_ENDPOINT_URL": SecretStr(sandbox.aws.endpoint_url),
            "AWS_ACCESS_KEY_ID": SecretStr(sandbox.aws.access_key_id),
            "AWS_SECRET_ACCESS_KEY": sandbox.aws.secret_access_key,
            "AWS_DEFAULT_REGION": SecretStr(sandbox.aws.region),
            "VAULT_ADDR": SecretStr(sandbox.openbao.address),
            "VAULT_CACERT": SecretStr(str(sandbox.openbao.ca_file)),
            "VAULT_TOKEN": token,
        },
    )


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file below `folder` by its SHA-256."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@dataclass(frozen=True)
class Stack:
    """A deployed demo stack: the engine, its own copy of the program, its backend."""

    engine: PulumiEngine
    project: Path
    backend: Path
    name: str

    def bucket(self, use: str) -> str:
        return f"demo-{self.name}-{use}"


def copy_demo(folder: Path) -> Path:
    """A private copy, so that a test may change the program, with settings for any stack name."""
    return Path(shutil.copytree(DEMO, folder / "project", ignore=shutil.ignore_patterns("tests", "__pycache__")))


@pytest.fixture(scope="module")
def stack(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("pulumi")
    project, backend = copy_demo(folder), folder / "state"
    backend.mkdir()
    name = "it"
    (project / "Pulumi.demo.yaml").rename(project / f"Pulumi.{name}.yaml")
    engine = PulumiEngine(
        project=project, stack=name, access=access_to(sandbox, backend), timeout_seconds=TIMEOUT_SECONDS
    )
    deployed = Stack(engine=engine, project=project, backend=backend, name=name)
    before = fingerprint(project)
    plan = engine.preview()
    assert {change.operation for change in plan.changes} == {Operation.CREATE}
    assert not list(backend.rglob("it.json")), "a first preview must not make the stack"
    assert deployed.bucket("assets") not in buckets(sandbox)
    result = engine.apply(plan)
    assert {change.urn for change in result.changes} == {change.urn for change in plan.changes}
    assert result.outputs == engine.outputs()
    yield deployed
    assert fingerprint(project) == before, "the user's project must stay as it was"


def buckets(sandbox: Sandbox) -> set[str]:
    return {bucket["Name"] for bucket in sandbox.aws.client("s3").list_buckets()["Buckets"]}


def tag(sandbox: Sandbox, bucket: str, owner: str) -> None:
    tags = {"Environment": "it", "ManagedBy": "pulumi", "Owner": owner}
    tag_set = [{"Key": key, "Value": value} for key, value in tags.items()]
    sandbox.aws.client("s3").put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tag_set})


def test_apply_makes_what_was_planned(stack: Stack, sandbox: Sandbox) -> None:
    assert {stack.bucket("assets"), stack.bucket("logs")} <= buckets(sandbox)
    outputs = stack.engine.outputs()
    assert outputs.secret_names == ("app_token",)
    assert "app_token" not in outputs.values
    hosts = outputs.values["hosts"]
    assert isinstance(hosts, list)
    assert [host["name"] for host in hosts if isinstance(host, dict)] == ["web-1", "web-2"]
    first = hosts[0]
    assert isinstance(first, dict)
    assert set(first) == {"name", "address", "port", "user", "variables"}
    assert outputs.values["load_balancer_url"] == sandbox.load_balancer.url


def test_state_holds_no_secret_in_clear(stack: Stack, sandbox: Sandbox) -> None:
    name = f"/demo-{stack.name}/app-token"
    token = sandbox.aws.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
    state = b"".join(path.read_bytes() for path in stack.backend.rglob("*") if path.is_file())
    assert token.encode() not in state
    assert sandbox.aws.secret_access_key.get_secret_value().encode() not in state
    assert b"vault:v1:" in state or b"encryptedkey" in state


def test_nothing_of_a_run_stays_behind(stack: Stack, private_folders: Path) -> None:
    running: set[int] = set()

    def watch(_line: Progress) -> None:
        assert list(private_folders.glob("holdtrue-pulumi-*")), "positive control: the folder is there during the run"
        running.update(find_marked("PULUMI_BACKEND_URL", stack.backend.as_uri()))

    stack.engine.detect(watch)
    assert running, "positive control: the processes are found while they run; the last lines may outlive them"
    assert not list(private_folders.glob("holdtrue-pulumi-*"))
    assert not find_marked("PULUMI_BACKEND_URL", stack.backend.as_uri())


def test_an_unchanged_stack_has_a_steady_empty_plan(stack: Stack) -> None:
    before = fingerprint(stack.backend)
    first, second = stack.engine.preview(), stack.engine.preview()
    assert first == second
    assert first.changes == ()
    assert first.unchanged == 8
    assert fingerprint(stack.backend) == before


def test_drift_is_found_without_writing_and_planned_back(stack: Stack, sandbox: Sandbox) -> None:
    tag(sandbox, stack.bucket("assets"), "mallory")
    sandbox.aws.client("s3").delete_bucket(Bucket=stack.bucket("logs"))
    before = fingerprint(stack.backend)

    found = stack.engine.detect()
    drift = {change.name: change for change in found.changes}
    assert set(drift) == {"assets", "logs"}
    assert drift["logs"].operation is Operation.DELETE
    (owner,) = drift["assets"].changes
    assert (owner.path, owner.before, owner.after) == ("tags.Owner", "platform", "mallory")
    assert len(found.checked) == 7
    assert found.unchecked == ()
    plan = stack.engine.preview()
    assert {change.name: change.operation for change in plan.changes} == {
        "assets": Operation.UPDATE,
        "logs": Operation.CREATE,
    }
    assert fingerprint(stack.backend) == before, "neither looking may write"

    stack.engine.apply(plan)
    assert stack.engine.detect().changes == ()


def test_apply_counts_its_progress(stack: Stack, sandbox: Sandbox) -> None:
    tag(sandbox, stack.bucket("assets"), "mallory")
    plan = stack.engine.preview()
    lines: list[Progress] = []
    stack.engine.apply(plan, lines.append)
    assert [(line.done, line.total) for line in lines][-1] == (1, 1)
    assert any(line.message == "~ aws:Bucket assets updating" for line in lines)


@pytest.mark.parametrize("same_process", [True, False])
def test_a_program_that_changed_since_the_preview_is_refused(
    stack: Stack, sandbox: Sandbox, *, same_process: bool
) -> None:
    tag(sandbox, stack.bucket("assets"), "mallory")
    plan = stack.engine.preview()
    with edited(stack.project / f"Pulumi.{stack.name}.yaml", lambda text: text.replace("platform", "another-team")):
        if not same_process:
            plans._plans.clear()
        program = stack.project / "infrastructure.py"
        with (
            edited(program, lambda text: text.replace('"ManagedBy": "pulumi"', '"ManagedBy": "somebody"')),
            pytest.raises(ProgramFailed) as refusal,
        ):
            stack.engine.apply(plan)
    assert "program changed: infrastructure.py; the configuration changed: demo:owner" in refusal.value.what
    tags = sandbox.aws.client("s3").get_bucket_tagging(Bucket=stack.bucket("assets"))["TagSet"]
    assert {"Key": "Owner", "Value": "mallory"} in tags, "the refused step must not have run"
    tag(sandbox, stack.bucket("assets"), "platform")


def test_a_plan_survives_its_process(stack: Stack, sandbox: Sandbox) -> None:
    tag(sandbox, stack.bucket("assets"), "mallory")
    plan = stack.engine.preview()
    plans._plans.clear()
    assert [change.name for change in stack.engine.apply(plan).changes] == ["assets"]


def test_a_cloud_that_changed_since_the_preview_is_refused(stack: Stack, sandbox: Sandbox) -> None:
    plan = stack.engine.preview()
    tag(sandbox, stack.bucket("logs"), "mallory")
    with pytest.raises(ProgramFailed) as refusal:
        stack.engine.apply(plan)
    assert "Bucket logs" in refusal.value.what
    # The refused apply has recorded what it read, so it is the preview, not the drift check, that plans it back.
    again = stack.engine.preview()
    assert [change.name for change in again.changes] == ["logs"]
    stack.engine.apply(again)


def test_what_a_lost_run_made_is_taken_over_and_anothers_is_not(stack: Stack, sandbox: Sandbox, tmp_path: Path) -> None:
    """The state of the stack is lost after the cloud was changed: a second apply converges, without duplicates."""
    fresh = tmp_path / "state"
    fresh.mkdir()
    engine = PulumiEngine(
        project=stack.project, stack=stack.name, access=access_to(sandbox, fresh), timeout_seconds=TIMEOUT_SECONDS
    )
    tag(sandbox, stack.bucket("assets"), "mallory")
    with pytest.raises(ProgramFailed, match="belongs to somebody else"):
        engine.apply(engine.preview())
    tag(sandbox, stack.bucket("assets"), "platform")
    engine.apply(engine.preview())
    assert engine.detect().changes == ()
    assert stack.engine.detect().changes == ()
    assert engine.outputs().values == stack.engine.outputs().values


def test_the_state_keeps_one_data_key(stack: Stack) -> None:
    def data_key() -> str:
        state = json.loads((stack.backend / f".pulumi/stacks/demo/{stack.name}.json").read_text())
        key: str = state["checkpoint"]["latest"]["secrets_providers"]["state"]["encryptedkey"]
        return key

    before = data_key()
    stack.engine.apply(stack.engine.preview())
    assert data_key() == before


class edited:  # noqa: N801 - reads as a verb in a with statement
    """Change a file for the length of a block."""

    def __init__(self, path: Path, change: Callable[[str], str]) -> None:
        self._path = path
        self._text = path.read_text()
        self._changed = change(self._text)
        assert self._changed != self._text

    def __enter__(self) -> None:
        self._path.write_text(self._changed)

    def __exit__(self, *_: object) -> None:
        self._path.write_text(self._text)
