"""The error table on texts that CLI 3.259 wrote; the integration tests provoke them for real."""

from pathlib import Path

import pytest

from holdtrue.adapters.pulumi.failures import Evidence, readable, translate
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
LOCKED = "error: the stack is currently locked by 1 lock(s).\n  file:///l.json: created by ann@build7 (pid 42) at 2026"
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


def test_a_lock_names_its_holder() -> None:
    assert "ann@build7 (pid 42)" in translate(evidence(LOCKED)).what


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
    assert "the plan does not hold this step" in translate(evidence(f"error: {undone}", consequence)).what
