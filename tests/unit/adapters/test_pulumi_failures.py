"""The error table on texts that CLI 3.259 wrote; the integration tests provoke them for real."""

from pathlib import Path

import pytest

from holdtrue.adapters.pulumi.evidence import Evidence
from holdtrue.adapters.pulumi.failures import readable, translate, unknown_fate
from holdtrue.adapters.pulumi.messages import Diagnostic
from holdtrue.errors import (
    AccessDenied,
    HoldtrueError,
    ProgramFailed,
    ResourceMissing,
    ServiceNotReady,
    ServiceUnreachable,
    StackLocked,
    ToolMissing,
)

PROJECT = Path("/srv/fleet/demo")
LOCKED = (
    "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the "
    "lock file with `pulumi cancel`.\n  file:///l.json?no_tmp_dir=true: created by ann@build7 (pid 42) at 2026-01-01"
)
REFUSED = 'Put "https://v/v1/transit/decrypt/k": dial tcp 127.0.0.1:1: connect: connection refused'
VAULT = "error: getting stack configuration: get stack secrets manager: secrets (code=Unknown): "
DECRYPT = "Error making API request.\n\nURL: PUT https://v/v1/transit/decrypt/k\n"
BUCKET = "urn:pulumi:demo::demo::pulumi-python:dynamic/aws:Bucket::assets"
TRACEBACK = """Traceback (most recent call last):
  File "/venv/pulumi/runtime/stack.py", line 138, in run_pulumi_func
  File "/srv/fleet/demo/__main__.py", line 9, in <module>
    declare()
  File "/srv/fleet/demo/infrastructure.py", line 21, in declare
    raise ValueError("no owner")
ValueError: no owner
"""


def evidence(text: str = "", *diagnostics: Diagnostic, **more: object) -> Evidence:
    return Evidence(operation="preview", stack="demo", project=PROJECT, text=text, diagnostics=diagnostics, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (LOCKED, StackLocked),
        ("error: no stack named 'demo' found", ResourceMissing),
        ("error: update is not allowed by the plan: no steps were expected for this resource", ProgramFailed),
        ("error: no resource plugin 'pulumi-resource-aws' found in the workspace", ToolMissing),
        (f"{VAULT}{REFUSED}", ServiceUnreachable),
        (f"{VAULT}{DECRYPT}Code: 503. Errors:\n\n* Vault is sealed", ServiceNotReady),
        (f"{VAULT}{DECRYPT}Code: 403. Errors:\n\n* permission denied", AccessDenied),
        (f"{VAULT}{DECRYPT}Code: 400. Errors:\n\n* invalid ciphertext: no prefix", AccessDenied),
        ("error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE", AccessDenied),
        ('error: unable to open state directory "file:///x": stat /x: no such file or directory', ServiceUnreachable),
        ("error: failed to load checkpoint: place 1: unexpected end of JSON input", ProgramFailed),
        ("botocore.exceptions.EndpointConnectionError: Could not connect to the endpoint URL", ServiceUnreachable),
        ("botocore.exceptions.ClientError: An error occurred (Throttling) when calling X: slow", ServiceNotReady),
        ("botocore.exceptions.ClientError: An error occurred (ExpiredToken) when calling X: old", AccessDenied),
        ("error: something that nobody has seen", ProgramFailed),
        ("", ProgramFailed),
    ],
)  # fmt: skip
def test_every_row_has_its_kind(text: str, kind: type[HoldtrueError]) -> None:
    error = translate(evidence(text))
    assert type(error) is kind
    assert "demo" in error.where
    assert error.next_step


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Missing required configuration variable 'shop:owner'\n\tplease set a value using", ["shop:owner"]),
        ("error: validating stack config: Stack 'demo' is missing configuration value 'owner'", ["owner"]),
        ("error: Stack 'demo' is missing configuration values 'owner', 'size' and 'key'", ["owner", "size", "key"]),
    ],
)
def test_a_missing_configuration_value_is_named_with_its_command(text: str, names: list[str]) -> None:
    error = translate(evidence(text))
    assert all(name in error.what for name in names)
    assert all(f"pulumi config set {name} <value> --stack demo" in error.next_step for name in names)
    assert "Pulumi.demo.yaml" in error.next_step


def test_a_missing_secret_is_to_be_set_as_one() -> None:
    text = (
        "Missing required configuration variable 'a:b'\n\tset it using the command `pulumi config set --secret a:b <v>`"
    )
    assert "pulumi config set --secret a:b" in translate(evidence(text)).next_step


def test_a_lock_names_its_holder_and_the_command_that_clears_it() -> None:
    error = translate(evidence(LOCKED, project_name="shop", backend_url="file:///srv/state"))
    assert "ann@build7 (pid 42), since 2026-01-01" in error.what
    command = "PULUMI_BACKEND_URL=file:///srv/state pulumi cancel --yes --stack organization/shop/demo"
    assert command in error.next_step


DELETE = (
    f'Preview failed: resource "{BUCKET}" cannot be deleted\nbecause it is protected. To unprotect the resource, '
    "either remove the `protect` flag from the resource in your Pulumi program and run `pulumi up`, or use the "
    f"command:\n`pulumi state unprotect '{BUCKET}'`"
)
REPLACE = (
    f'unable to replace resource "{BUCKET}"\nas it is currently marked for protection. To unprotect the resource, '
    "remove the `protect` flag from the resource in your Pulumi program and run `pulumi up`"
)
DEPENDENT = (
    f'unable to replace resource "{BUCKET}" as part of replacing "urn:pulumi:demo::demo::a:b:C::d" as it is currently '
    f"marked for protection. To unprotect the resource, or use the command:\n`pulumi state unprotect '{BUCKET}'`"
)


@pytest.mark.parametrize("text", [DELETE, REPLACE, DEPENDENT])
def test_a_protected_resource_is_named_as_such_before_any_remedy(text: str) -> None:
    error = translate(evidence("", Diagnostic(severity="error", text=text, urn=BUCKET), project_name="shop"))
    assert isinstance(error, ProgramFailed)
    assert "Bucket assets is protected and cannot be deleted" in error.what
    assert "unprotect" not in error.what
    assert error.next_step.index("if it is to stay") < error.next_step.index("pulumi state unprotect")


def test_every_protected_resource_is_named() -> None:
    others = Diagnostic(severity="error", text=DELETE.replace("assets", "logs"), urn=BUCKET.replace("assets", "logs"))
    error = translate(evidence("", Diagnostic(severity="error", text=DELETE, urn=BUCKET), others))
    assert "Bucket assets" in error.what
    assert "Bucket logs" in error.what


def test_an_unknown_stack_is_missing_by_name() -> None:
    text = 'Preview failed: unknown stack "organization/base/live"'
    error = translate(evidence("", Diagnostic(severity="error", text=text, urn=BUCKET)))
    assert isinstance(error, ResourceMissing)
    assert "organization/base/live" in error.what


def test_resources_of_unknown_fate_are_named_with_what_to_do() -> None:
    error = unknown_fate(evidence(project_name="shop", backend_url="file:///s"), (BUCKET, f"{BUCKET}-2"))
    assert isinstance(error, ProgramFailed)
    assert "Bucket assets, " in error.what
    assert "Bucket assets-2" in error.what
    assert "pulumi stack export --stack organization/shop/demo" in error.next_step


@pytest.mark.parametrize(
    "text",
    [
        "quota exceeded for disks\nask the platform team\nor use another zone",
        "2 errors occurred:\n\t* quota exceeded for disks\n\t* b",
        "quota exceeded for disks\n" + "hint " * 400,
        "hint " * 400 + "\nquota exceeded for disks",
        TRACEBACK.replace("no owner", "quota exceeded for disks\nask the platform team\n\nor use another zone"),
    ],
    ids=["first-line", "list", "long-tail", "long-head", "exception"],
)
def test_a_message_of_many_lines_keeps_its_cause(text: str) -> None:
    for given in (evidence("", Diagnostic(severity="error", text=text)), evidence(f" stderr: error: {text}")):
        error = translate(given)
        assert "quota exceeded for disks" in error.what
        assert "\n" not in error.what
        assert len(error.what) < 1000


def test_several_errors_are_all_told_and_many_are_counted() -> None:
    few = [Diagnostic(severity="error", text=f"cause {number}") for number in range(2)]
    assert all(item.text in translate(evidence("", *few)).what for item in few)
    many = [Diagnostic(severity="error", text=f"cause {number}") for number in range(9)]
    assert "6 more" in translate(evidence("", *many)).what


def test_the_cli_s_errors_are_read_with_the_lines_that_go_on() -> None:
    text = (
        "\n code: 1\n stdout: Updating (dev):\n\n Diagnostics:\n  aws:Bucket (x):\n    error: no quota left\n"
        "    for disks\n\n    warning: slow\n stderr: error: update failed\nbecause of it\n"
    )
    what = translate(evidence(text)).what
    assert "no quota left for disks; update failed because of it" in what
    assert "slow" not in what


def test_a_programs_exception_is_placed_in_the_users_file() -> None:
    error = translate(evidence("", Diagnostic(severity="error", text=TRACEBACK)))
    assert isinstance(error, ProgramFailed)
    assert "ValueError: no owner" in error.what
    assert error.where.startswith("/srv/fleet/demo/infrastructure.py:21")


def test_a_providers_exception_names_the_resource() -> None:
    error = translate(evidence("", Diagnostic(severity="error", text=TRACEBACK, urn=BUCKET)))
    assert "Bucket assets" in error.what


def test_a_child_that_was_killed_says_so() -> None:
    assert "signal 9" in translate(evidence(exit_code=-9)).what


def test_no_secret_leaves() -> None:
    error = translate(evidence("error: refused token s.abcdefgh12345", secrets=("s.abcdefgh12345",)))
    assert "abcdefgh" not in str(error)
    assert "[redacted]" in error.what


def test_a_plan_violation_keeps_names_and_drops_values() -> None:
    text = f"resource {BUCKET} violates plan: properties changed: ~~token[{{hunter2}}!={{hunter3}}], ++tags[{{x, y}}]"
    assert "hunter" not in readable(text)
    assert "token" in readable(text)
    error = translate(evidence("", Diagnostic(severity="error", text=text, urn=BUCKET)))
    assert "hunter" not in str(error)
    assert "Bucket assets" in error.what


def test_a_traceback_reads_as_its_last_line_and_place() -> None:
    assert readable(TRACEBACK) == "ValueError: no owner at /srv/fleet/demo/infrastructure.py:21"


def test_steps_that_a_failure_kept_from_being_reached_do_not_hide_it() -> None:
    undone = "expected resource operations for urn:pulumi:demo::demo::pulumi-python:dynamic/aws:TargetGroup::web"
    failed = Diagnostic(severity="error", text="bucket belongs to somebody else", urn=BUCKET)
    consequence = Diagnostic(severity="error", text=undone)
    for diagnostics in ((failed, consequence), (consequence, failed)):
        error = translate(evidence(f"error: {undone}", *diagnostics))
        assert "belongs to somebody else" in error.what
        assert "plan" not in error.what
    assert "plan" in translate(evidence(f"error: {undone}", consequence)).what


def test_a_missing_plugin_comes_with_the_command_that_installs_it() -> None:
    text = "error: no resource plugin 'pulumi-resource-aws' found in the workspace at version v6.1.0 or on your $PATH"
    assert "`pulumi plugin install`" in translate(evidence(text)).next_step
    hint = f"{text}, install the plugin using `pulumi plugin install resource aws v6.1.0`"
    assert "`pulumi plugin install resource aws v6.1.0`" in translate(evidence(hint)).next_step


def test_a_vault_that_is_down_is_named_with_its_url() -> None:
    known = {"secrets_provider": "hashivault://k", "vault_address": "https://v:8200"}
    assert "hashivault://k at https://v:8200" in translate(evidence(f"{VAULT}{REFUSED}", **known)).where


def test_a_stack_that_does_not_exist_is_created_before_its_values_are_set() -> None:
    text = "Missing required configuration variable 'a:b'\n\t`pulumi config set --secret a:b <v>`"
    known = {"project_name": "shop", "backend_url": "file:///s", "secrets_provider": "hashivault://k"}
    create = "PULUMI_BACKEND_URL=file:///s pulumi stack init demo --secrets-provider hashivault://k"
    absent = translate(evidence(text, stack_absent=True, **known)).next_step
    assert absent.index(create) < absent.index(
        "PULUMI_BACKEND_URL=file:///s pulumi config set --secret a:b --stack demo"
    )
    assert "VAULT_TOKEN" in absent
    present = translate(evidence(text, **known)).next_step
    assert create not in present
    assert "`secretsprovider: hashivault://k`" in present


@pytest.mark.parametrize(
    ("source", "text", "said"),
    [
        ("message", f"{BUCKET}: 2000000 characters, more than 1000000", "2000000"),
        ("event", "KeyError: 'AccessDenied'", "KeyError"),
        ("event", 'KeyError: no stack named "x" found', "KeyError"),
        ("state", "something that nobody has seen", "something that nobody has seen"),
    ],
)
def test_what_holdtrue_could_not_read_is_not_blamed_on_the_program(source: str, text: str, said: str) -> None:
    error = translate(evidence(text, source=source))
    assert isinstance(error, ProgramFailed)
    assert said in error.what
    assert "the program failed" not in error.what
    assert "run's log" not in error.next_step


def test_a_state_that_cannot_be_exported_keeps_its_known_cause() -> None:
    assert type(translate(evidence(f"{VAULT}{REFUSED}", source="state"))) is ServiceUnreachable
    command = "PULUMI_BACKEND_URL=file:///s pulumi stack export --stack organization/shop/demo"
    unknown = translate(evidence("boom", source="state", project_name="shop", backend_url="file:///s"))
    assert command in unknown.next_step
