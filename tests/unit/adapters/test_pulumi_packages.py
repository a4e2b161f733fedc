"""Which packages a project runs with, from its `runtime.options`."""

from pathlib import Path

import pytest

from holdtrue.adapters.pulumi.packages import program_packages, require_usable
from holdtrue.errors import ProgramFailed, RejectedError
from holdtrue.models.program import ProgramPackages


def project(folder: Path, options: str, *files: str) -> Path:
    (folder / "Pulumi.yaml").write_text(f"name: tiny\nruntime: {options}\n")
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


PIP = "{name: python, options: {virtualenv: venv}}"
UV = "{name: python, options: {toolchain: uv}}"


@pytest.mark.parametrize(
    ("options", "files", "environment", "named_in"),
    [
        ("python", ["requirements.txt", "venv/pyvenv.cfg"], None, None),
        ("{name: python}", ["requirements.txt"], None, None),
        ("{name: python, options: {}}", ["requirements.txt"], None, None),
        ("{name: python, options: null}", ["requirements.txt"], None, None),
        ("{name: python, options: {toolchain: pip}}", ["requirements.txt"], None, None),
        (PIP, ["requirements.txt"], None, "requirements.txt"),
        (PIP, ["requirements.txt", "uv.lock", "pyproject.toml"], None, "requirements.txt"),
        (PIP, ["requirements.txt", "venv/pyvenv.cfg"], "venv", None),
        (PIP, ["requirements.txt", "venv/empty"], None, "requirements.txt"),
        (UV, ["requirements.txt"], None, "requirements.txt"),
        (UV, ["requirements.txt", "pyproject.toml"], None, "pyproject.toml"),
        (UV, ["requirements.txt", "pyproject.toml", "uv.lock"], None, "uv.lock"),
        (UV, ["uv.lock", ".venv/pyvenv.cfg"], ".venv", None),
        ("{name: python, options: {toolchain: uv, virtualenv: mine}}", ["uv.lock", "mine/pyvenv.cfg"], "mine", None),
    ],
)
def test_options_say_where_packages_come_from(
    tmp_path: Path, options: str, files: list[str], environment: str | None, named_in: str | None
) -> None:
    found = program_packages(project(tmp_path, options, *files))
    assert found == ProgramPackages(
        environment=tmp_path / environment if environment else None, named_in=tmp_path / named_in if named_in else None
    )
    assert (environment or named_in or "worker") in str(found)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (PIP, "requirements.txt"),
        (UV, "pyproject.toml"),
        ("{name: python, options: {toolchain: poetry}}", "poetry"),
        ("{name: python, options: {toolchain: conda}}", "conda"),
    ],
)
def test_what_cannot_be_used_is_refused_by_file_and_option(tmp_path: Path, options: str, told: str) -> None:
    with pytest.raises(RejectedError, match=told) as refusal:
        program_packages(project(tmp_path, options, "poetry.lock"))
    assert refusal.value.where.startswith(f"{tmp_path / 'Pulumi.yaml'} runtime.options")
    assert refusal.value.next_step


def test_a_project_of_another_language_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailed, match="nodejs"):
        program_packages(project(tmp_path, "{name: nodejs, options: {virtualenv: venv}}"))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("echo 3 10 3.272.0", "Python 3.10"),
        ("echo 3 12 3.215.9", "pulumi 3.215.9"),
        ("echo 3 12", "no pulumi"),
        ("exit 1", "does not start"),
        (None, "does not start"),
    ],
)
def test_an_interpreter_that_cannot_run_a_program_is_refused(tmp_path: Path, body: str | None, told: str) -> None:
    packages = ProgramPackages(environment=tmp_path / "venv")
    with pytest.raises(RejectedError, match=told) as refusal:
        require_usable(interpreter(tmp_path, body), packages)
    assert refusal.value.where == str(tmp_path / "venv")


def test_an_interpreter_with_a_tested_pulumi_is_usable(tmp_path: Path) -> None:
    for release in ("3.216.0", "3.300.0", "4.0.0a1"):
        python = interpreter(tmp_path, f"echo 3 11 {release}")
        assert require_usable(python, ProgramPackages()) == python


def interpreter(folder: Path, body: str | None) -> Path:
    python = folder / "python"
    if body is not None:
        python.write_text(f"#!/bin/sh\n{body}\n")
        python.chmod(0o755)
    return python
