"""The parts of a plan's digest: which files, settings, resources of the state and steps count, and which do not."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime import settings
from pulumi.runtime.proto.resource_pb2 import RegisterResourceRequest
from pydantic import SecretStr

from holdtrue.adapters.pulumi.hashes import keyed_hash, secret_hash
from holdtrue.adapters.pulumi.identity import PlanBinding, given_parts, seen_parts
from holdtrue.adapters.pulumi.journal import Journal
from holdtrue.adapters.pulumi.messages import Inputs, Json, Message, Recorded, Snapshot, State, Step, write_message
from holdtrue.adapters.pulumi.registrations import Registrations
from holdtrue.adapters.pulumi.state import state_hashes, state_messages
from holdtrue.adapters.pulumi.workspace import read_project
from holdtrue.models.base import ignore_progress
from holdtrue.models.credentials import StackAccess
from holdtrue.models.stack import PlanPart, PlanParts

KEY = b"k" * 32
BINDING = PlanBinding("demo", lambda: KEY)
URN = "urn:pulumi:dev::shop::aws:s3/bucket:Bucket::{}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (folder / "Pulumi.dev.yaml").write_text("config:\n  shop:size: 1\n  shop:pin: {secure: v1:aa:bb}\n")
    (folder / "__main__.py").write_text("import tiers\n")
    (folder / "tiers").mkdir()
    (folder / "tiers/__init__.py").write_text("")
    return folder


def given(project: Path, url: str = "file:///state", **environment: str) -> PlanParts:
    access = StackAccess(
        backend_url=url,
        secrets_provider="passphrase",
        environment={name: SecretStr(value) for name, value in environment.items()},
    )
    return given_parts(BINDING, read_project(project), "dev", access)


def differing(before: PlanParts, after: PlanParts) -> dict[PlanPart, set[str]]:
    found = {part: {name for name, _ in before[part].items() ^ after[part].items()} for part in before}
    return {part: names for part, names in found.items() if names}


def write(path: str, text: str) -> Callable[[Path], None]:
    def act(project: Path) -> None:
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)

    return act


def an_environment(project: Path) -> None:
    write("venv/pyvenv.cfg", "")(project)
    write("venv/lib/a.py", "x")(project)


def link_to_itself(project: Path) -> None:
    (project / "tiers/loop").symlink_to(project)


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (write("tiers/__init__.py", "x"), {PlanPart.PROGRAM: {"tiers/__init__.py"}}),
        (write("notes.json", "[]"), {PlanPart.PROGRAM: {"notes.json"}}),
        (write("Pulumi.yaml", "name: shop\nruntime: {name: python}\n"), {PlanPart.PROGRAM: {"Pulumi.yaml"}}),
        (
            write("Pulumi.dev.yaml", "config: {'shop:pin': {secure: 'v1:aa:bb'}}"),
            {PlanPart.CONFIGURATION: {"shop:size"}},
        ),
        (
            write("Pulumi.dev.yaml", "config: {'shop:size': 1, 'shop:pin': {secure: 'v1:cc:dd'}}"),
            {PlanPart.CONFIGURATION: {"shop:pin"}},
        ),
        (
            write(
                "Pulumi.dev.yaml",
                "encryptionsalt: x\nsecretsprovider: y\nconfig: {'shop:size': 1, 'shop:pin': {secure: 'v1:aa:bb'}}",
            ),
            {},
        ),
        (
            write("Pulumi.dev.yaml", "config: {'shop:size': 0x1, 'shop:pin': {secure: 'v1:aa:bb'}}"),
            {PlanPart.CONFIGURATION: {"shop:size"}},
        ),
        (
            write("Pulumi.dev.yaml", "size: 1\nconfig: {'shop:size': 1, 'shop:pin': {secure: 'v1:aa:bb'}}"),
            {PlanPart.CONFIGURATION: {"the line size"}},
        ),
        (write("tiers/__pycache__/a.pyc", "x"), {}),
        (write(".venv/lib/a.py", "x"), {}),
        (an_environment, {}),
        (write("venv/lib/a.py", "x"), {PlanPart.PROGRAM: {"venv/lib/a.py"}}),
        (write(".git/index", "x"), {}),
        (link_to_itself, {PlanPart.PROGRAM: {"tiers/loop"}}),
    ],
)
def test_what_the_engine_would_run_counts(
    project: Path, act: Callable[[Path], None], expected: dict[PlanPart, set[str]]
) -> None:
    before = given(project)
    assert given(project) == before
    act(project)
    assert differing(before, given(project)) == expected


def test_a_program_outside_the_project_and_what_links_point_to_count(project: Path, tmp_path: Path) -> None:
    for name in ("src", "shared"):
        (tmp_path / name).mkdir()
    (tmp_path / "src/__main__.py").write_text("")
    (tmp_path / "shared/common.py").write_text("")
    (project / "lib").symlink_to(tmp_path / "shared")
    (project / "Pulumi.yaml").write_text("name: shop\nmain: ../src\nruntime: python\n")
    before = given(project)
    (tmp_path / "src/__main__.py").write_text("x")
    (tmp_path / "shared/common.py").write_text("x")
    assert differing(before, given(project)) == {PlanPart.PROGRAM: {"../src/__main__.py", "lib/common.py"}}


def test_a_link_that_leads_to_another_folder_of_the_project_counts(project: Path, tmp_path: Path) -> None:
    """The files of both folders are listed before the link is reached, and none of them changes."""
    for version in ("v1", "v2"):
        write(f"releases/{version}/kinds.py", version)(project)
    (project / "stable").symlink_to("releases/v1")
    before = given(project)
    copied = shutil.copytree(project, tmp_path / "copy", symlinks=True)
    assert given(copied) == before
    (project / "stable").unlink()
    (project / "stable").symlink_to("releases/v2")
    assert differing(before, given(project)) == {PlanPart.PROGRAM: {"stable"}}


@pytest.mark.parametrize("text", ["x: yes", "x: 12:30", "x: {of: [1.10]}"])
def test_a_value_counts_as_it_is_written(project: Path, text: str) -> None:
    same = {"x: yes": "x: true", "x: 12:30": "x: 750", "x: {of: [1.10]}": "x: {of: [1.1]}"}[text]
    write("Pulumi.dev.yaml", f"config: {{{text}}}")(project)
    before = given(project)
    write("Pulumi.dev.yaml", f"config:\n  {text}  # reformatted")(project)
    assert given(project) == before
    write("Pulumi.dev.yaml", f"config: {{{same}}}")(project)
    assert differing(before, given(project)) == {PlanPart.CONFIGURATION: {"x"}}


def test_where_an_apply_works_counts_wherever_it_comes_from(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDTRUE_PASS_ENVIRONMENT", "AWS_REGION,OTHER")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("OTHER", "one")
    before = given(project, AWS_ENDPOINT_URL="https://u:one@aws.example")
    monkeypatch.setenv("OTHER", "two")
    assert given(project, AWS_ENDPOINT_URL="https://u:two@aws.example") == before
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    after = given(project, AWS_ENDPOINT_URL="https://u:one@elsewhere.example")
    assert differing(before, after) == {PlanPart.CONFIGURATION: {"AWS_REGION", "AWS_ENDPOINT_URL"}}


def test_where_an_apply_works_counts_and_its_credentials_do_not(project: Path) -> None:
    before = given(project, AWS_REGION="eu-west-1", AWS_SECRET_ACCESS_KEY="one", VAULT_TOKEN="one")
    other = given(project, AWS_REGION="eu-west-1", AWS_SECRET_ACCESS_KEY="two", VAULT_TOKEN="two")
    moved = given(project, AWS_REGION="us-east-1", AWS_SECRET_ACCESS_KEY="one", VAULT_TOKEN="one")
    assert before == other
    assert differing(before, moved) == {PlanPart.CONFIGURATION: {"AWS_REGION"}}


def test_the_password_of_a_backend_may_rotate(project: Path) -> None:
    assert given(project, "postgres://u:one@db/state") == given(project, "postgres://u:two@db/state")
    assert given(project, "postgres://u:one@db/state") != given(project, "postgres://u:one@db/other")


def seen(*messages: Message) -> PlanParts:
    journal = Journal(ignore_progress, ())
    for message in messages:
        journal.read_line(write_message(message))
    return seen_parts(BINDING, journal)


def step(
    operation: str,
    name: str = "logs",
    kind: str = "aws:s3/bucket:Bucket",
    *,
    before: dict[str, Json] | None = None,
    after: dict[str, Json] | None = None,
    output: str = "",
) -> Step:
    return Step(
        phase="started",
        operation=operation,
        urn=URN.format(name),
        type=kind,
        before=None if before is None else Snapshot(before, {"at": output}),
        after=None if after is None else Snapshot(after, {"at": output}),
    )


UPDATE = step("update", before={"acl": "a"}, after={"acl": "b"})


@pytest.mark.parametrize(
    "other",
    [
        step("replace", before={"acl": "a"}, after={"acl": "b"}),
        step("update", before={"acl": "x"}, after={"acl": "b"}),
        step("update", before={"acl": "a"}, after={"acl": "x"}),
        step("update", "other", before={"acl": "a"}, after={"acl": "b"}),
        step("delete", before={"acl": "a"}),
        step("same"),
    ],
)
def test_each_step_counts_with_its_inputs(other: Step) -> None:
    assert seen(UPDATE)[PlanPart.STEPS] != seen(other)[PlanPart.STEPS]


def test_neither_order_nor_outputs_count() -> None:
    create = step("create", "web", after={"acl": "a"})
    late = step("update", before={"acl": "a"}, after={"acl": "b"}, output="later")
    assert seen(UPDATE, create) == seen(create, late)


def test_credentials_of_a_provider_do_not_count_and_its_steps_do() -> None:
    kind = "pulumi:providers:aws"
    one, two = (step("update", kind=kind, before={"key": "x"}, after={"key": key}) for key in ("one", "two"))
    assert seen(one) == seen(two)
    assert seen(one) != seen(step("same", kind=kind))


def test_to_give_a_resource_out_of_hand_counts() -> None:
    managed = State(resources=(Recorded(URN.format("logs")),))
    external = State(resources=(Recorded(URN.format("logs"), external=True),))
    assert seen(managed, step("read"))[PlanPart.STEPS] != seen(external, step("read"))[PlanPart.STEPS]


STATE: dict[str, Any] = {
    "manifest": {"time": "2026-01-01"},
    "resources": [
        {"urn": URN.format("logs"), "id": "1", "inputs": {"acl": "a"}, "created": "then", "modified": "then"},
        {"urn": URN.format("web"), "id": "2"},
    ],
}


def test_the_state_counts_without_its_times() -> None:
    touched = {
        "manifest": {"time": "2027-01-01"},
        "resources": [{**STATE["resources"][0], "created": "now", "modified": "now"}, STATE["resources"][1]],
    }
    assert state_hashes(touched, KEY) == state_hashes(STATE, KEY)


@pytest.mark.parametrize(
    "change",
    [
        {"resources": [{**STATE["resources"][0], "inputs": {"acl": "b"}}, STATE["resources"][1]]},
        {"resources": STATE["resources"][:1]},
        {"resources": [*STATE["resources"], {"urn": URN.format("web"), "id": "3", "delete": True}]},
        {"pending_operations": [{"type": "creating", "resource": {"urn": URN.format("new")}}]},
    ],
)
def test_whatever_else_moves_in_the_state_counts(change: dict[str, Any]) -> None:
    assert state_hashes({**STATE, **change}, KEY) != state_hashes(STATE, KEY)


def test_hashes_arrive_whole_from_a_large_state_and_only_with_a_key() -> None:
    large = {"resources": [{"urn": URN.format(number), "custom": True} for number in range(1300)]}
    assert seen(*state_messages(large, KEY))[PlanPart.STATE] == state_hashes(large, KEY)
    assert seen(*state_messages(large))[PlanPart.STATE] == {}


SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}


class Monitor:
    """Answers a registration as the engine does."""

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the stub's name
        return type("Response", (), {"urn": URN.format(request.name)})


def registered(inputs: dict[str, Any], *, key: bytes = KEY, **options: Any) -> dict[str, str]:
    monitor, found = Monitor(), Registrations()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "get_monitor", lambda: monitor)
        found.watch()
    values = Struct()
    values.update(inputs)
    for name in ("logs", "same"):
        monitor.RegisterResource(RegisterResourceRequest(name=name, object=values, **options))
    return found.hashes(key, {URN.format("logs")})


def secret(value: str) -> dict[str, Any]:
    return {**SECRET, "value": value}


def test_inputs_count_with_their_secrets_for_the_resources_that_change() -> None:
    base = registered({"pin": secret("1"), "acl": "a"})
    assert base.keys() == {URN.format("logs")}
    assert registered({"acl": "a", "pin": secret("1")}) == base
    assert registered({"pin": secret("2"), "acl": "a"}) != base
    assert registered({"pin": secret("1"), "acl": "b"}) != base
    assert registered({"pin": "1", "acl": "a"}) != base
    assert registered({"pin": secret("1"), "acl": "a"}, key=b"x" * 32) != base
    assert registered({"all": [{"pin": secret("1")}]}) != registered({"all": [{"pin": secret("2")}]})


def test_what_the_engine_ignores_does_not_count() -> None:
    ignored = ("stamp", "tags.now", 'list[0]["x"]')
    one = registered(
        {"stamp": "1", "tags": {"now": "1"}, "list": [1], "acl": "a", "__provider": "p1"}, ignoreChanges=ignored
    )
    two = registered(
        {"stamp": "2", "tags": {"now": "2"}, "list": [2], "acl": "a", "__provider": "p2"}, ignoreChanges=ignored
    )
    assert one == two


EU, US = (f"urn:pulumi:dev::shop::pulumi:providers:aws::{region}" for region in ("eu", "us"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"provider": f"{EU}::1"}, {"provider": f"{US}::1"}),
        ({"providers": {"aws": f"{EU}::1"}}, {"providers": {"aws": f"{US}::1"}}),
        ({"protect": True}, {}),
        ({"retainOnDelete": True}, {}),
        ({"ignoreChanges": ["acl"]}, {"ignoreChanges": ["tags"]}),
        ({"version": "6.0.0"}, {"version": "7.0.0"}),
        ({"pluginDownloadURL": "https://one.example"}, {"pluginDownloadURL": "https://two.example"}),
        ({"customTimeouts": {"create": "1m"}}, {"customTimeouts": {"create": "2m"}}),
    ],
)
def test_options_and_the_provider_of_a_resource_count(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert registered({"size": "a"}, **before) == registered({"size": "a"}, **before)
    assert registered({"size": "a"}, **before) != registered({"size": "a"}, **after)


def test_the_id_of_a_provider_does_not_count() -> None:
    assert registered({}, provider=f"{EU}::1") == registered({}, provider=f"{EU}::04da6b54-80e4-46f7-96ec-b56ff0331ba9")


def test_without_a_monitor_nothing_is_taken_for_seen() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "get_monitor", lambda: None)
        with pytest.raises(RuntimeError, match="monitor"):
            Registrations().watch()


def test_inputs_arrive_in_parts() -> None:
    assert seen(Inputs({"a": "1"}), Inputs({"b": "2"}))[PlanPart.INPUTS] == {"a": "1", "b": "2"}


def test_a_hash_needs_its_key() -> None:
    for hashed in (keyed_hash, secret_hash):
        assert hashed(KEY, {"b": 1, "a": [None, "ä\ud800"]}) == hashed(KEY, {"a": [None, "ä\ud800"], "b": 1})
        assert hashed(KEY, "1111") != hashed(b"x" * 32, "1111")
        assert hashed(KEY, "1111") != hashed(KEY, "1112")
