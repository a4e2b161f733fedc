"""The command line: exit codes, one line per error, and what a terminal gets to see."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from holdtrue.cli import ExitCode, main
from holdtrue.cli.audit import exit_code
from holdtrue.core.audit_output.json_report import AuditDocument
from holdtrue.models.audit import AuditVerdict

DEAD = "http://127.0.0.1:1"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    streams = capsys.readouterr()
    return code, streams.out, streams.err


def test_schema_describes_the_manifest(capsys: pytest.CaptureFixture[str]) -> None:
    code, output, errors = run(capsys, "schema")

    schema = json.loads(output)
    assert (code, errors) == (ExitCode.GOOD, "")
    assert schema["additionalProperties"] is False
    assert {"name", "infrastructure", "validation", "audit"} <= schema["properties"].keys()


def test_schema_starts_fast_and_loads_no_adapter() -> None:
    code = "import sys, holdtrue.cli as cli; cli.main(['schema']); print(sorted(sys.modules), file=sys.stderr)"
    started = time.monotonic()
    child = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)

    # Generous for a loaded machine; alone it takes about a quarter of a second.
    assert time.monotonic() - started < 3
    assert not [name for name in ("httpx", "prefect", "opentelemetry", "boto3") if f"'{name}'" in child.stderr]


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("audti",), ("audit", "--no-such-option"), ("audit", "-r", "no/such/file.txt"),
        ("audit", "-r", "x", "--osv-url", "https://user:s3cr3t-value@h.example"),
        ("audit", "-r", "x", "--osv-url", "junk"),
        ("audit", "--environment", "/bin/true"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_two(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    code, output, errors = run(capsys, *arguments)

    assert (code, output) == (ExitCode.BAD_INPUT, "")
    assert errors.startswith("holdtrue: ")
    assert errors.count("\n") == 1
    assert "s3cr3t-value" not in errors


ADDRESS = "https://user:s3cr3t-value@h.example/x"


@pytest.mark.parametrize(
    "arguments",
    [
        (ADDRESS,), (f"--foo={ADDRESS}",),
        *(
            ("audit", "-r", "x", *wrong)
            for wrong in (
                (f"--foo={ADDRESS}",), ("--foo", ADDRESS), (ADDRESS,), ("--format", ADDRESS), (f"--json={ADDRESS}",),
                ("--minimum-severity", ADDRESS), ("--max-age-days", ADDRESS), (f"--only-fixable={ADDRESS}",),
                (f"--osv={ADDRESS}",), ("--foo", "https://user:two s3cr3t-value@h.example"),
                ("--foo", "https://user:one@two s3cr3t-value@h.example/x y"), ("--venv", ADDRESS),
            )
        ),
        ("fix", ADDRESS), ("fix", "x", "--timeout-seconds", ADDRESS),
        ("preflight", ADDRESS), ("preflight", "tiny", "--fleet", ADDRESS), ("policy", "tiny", "--flow", ADDRESS),
        ("leaks", ADDRESS), ("leaks", "--values", ADDRESS), ("leaks", "--exclude-pid", ADDRESS),
        ("check-deployments", ADDRESS),
    ],
)  # fmt: skip
def test_a_password_in_an_argument_is_not_repeated(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    code, output, errors = run(capsys, *arguments)

    assert (code, output, errors.count("\n")) == (ExitCode.BAD_INPUT, "", 1)
    assert "s3cr3t-value" not in errors


@pytest.mark.parametrize(
    "arguments",
    [
        ("leaks", "--values", "one", "--values", "two"),
        ("preflight", "tiny", "--fleet", "one", "--fleet", "two"),
        ("fix", "x", "--osv-db", "one", "--osv-db", "two"),
    ],
)
def test_no_command_drops_a_value(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    code, _, errors = run(capsys, *arguments)

    assert code == ExitCode.BAD_INPUT
    assert f"argument {arguments[-2]}: " in errors


def test_a_defect_of_our_own_is_one_line_and_never_a_finding(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("s3cr3t-value")

    monkeypatch.setattr("holdtrue.auditing.advisory_sources", broken)

    code, output, errors = run(capsys, "audit", "-r", "x", "--osv-url", DEAD)

    assert (code, output, errors.count("\n")) == (ExitCode.COULD_NOT_LOOK, "", 1)
    assert ("ZeroDivisionError" in errors, "cli/audit.py" in errors) == (True, True)
    assert "s3cr3t-value" not in errors


def test_the_package_is_the_command() -> None:
    child = subprocess.run(
        [sys.executable, "-m", "holdtrue", "schema"], check=True, capture_output=True, text=True, timeout=30
    )

    assert json.loads(child.stdout)["title"] == "Environment"


def test_a_bad_setting_is_named_without_its_value(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDTRUE_OSV_URL", "s3cr3t-value")

    code, _, errors = run(capsys, "audit", "-r", "x")

    assert code == ExitCode.BAD_INPUT
    assert "HOLDTRUE_OSV_URL" in errors
    assert "s3cr3t-value" not in errors


@pytest.mark.parametrize("as_json", [False, True])
def test_a_source_that_is_not_there_is_exit_three(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, *, as_json: bool
) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("demo==1.0\n")

    code, output, errors = run(capsys, "audit", "-r", str(file), "--osv-url", DEAD, *(["--json"] if as_json else []))

    assert code == ExitCode.COULD_NOT_LOOK
    assert errors.count("\n") == 1
    if as_json:
        assert AuditDocument.model_validate_json(output).verdict is AuditVerdict.INCOMPLETE
    else:
        assert output.startswith("incomplete")


def test_an_empty_file_is_exit_three(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("")

    assert run(capsys, "audit", "-r", str(file), "--osv-url", DEAD)[0] == ExitCode.COULD_NOT_LOOK


def test_each_verdict_has_its_exit_code() -> None:
    assert {verdict: int(exit_code(verdict)) for verdict in AuditVerdict} == {
        AuditVerdict.CLEAN: 0,
        AuditVerdict.VULNERABLE: 1,
        AuditVerdict.INCOMPLETE: 3,
    }
