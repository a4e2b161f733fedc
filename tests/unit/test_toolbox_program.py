"""The toolbox and a program: its packages, and its tests or the reason why there are none."""

import sys
from pathlib import Path
from typing import TypeVar

import pytest

from holdtrue.adapters.manifest import parse_environment
from holdtrue.credentials.reference import CredentialReference
from holdtrue.errors import BlockMissing, ProgramTestsFailed, RejectedError
from holdtrue.models.base import Progress, ProgressLevel
from holdtrue.models.environment import Environment
from holdtrue.models.report import ProgramTests
from holdtrue.toolbox import Toolbox, real_tools

R = TypeVar("R", bound=CredentialReference)
DEMO = Path(__file__).parents[2] / "fleet" / "environments" / "demo.yaml"


def no_blocks(_kind: type[R], name: str, /) -> R:
    raise BlockMissing(f"no block {name}")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "pulumi" / "demo"
    folder.mkdir(parents=True)
    (folder / "Pulumi.yaml").write_text("name: demo\nruntime: python\n")
    monkeypatch.setenv("HOLDTRUE_FLEET", str(tmp_path))
    monkeypatch.setenv("HOLDTRUE_CACHE", str(tmp_path / "cache"))
    return folder


def environment(**infrastructure: object) -> Environment:
    demo = parse_environment(DEMO)
    return demo.model_copy(update={"infrastructure": demo.infrastructure.model_copy(update=infrastructure)})


def tools() -> Toolbox:
    return real_tools(no_blocks)


def test_without_tests_nothing_runs_and_the_reason_is_said(project: Path) -> None:
    (project / "tests").mkdir()
    (project / "tests" / "test_it.py").write_text("raise RuntimeError\n")
    lines: list[Progress] = []
    told = tools().program_tests(environment(without_tests="generated code"), lines.append)
    assert told == ProgramTests(passed=0, none_because="generated code")
    (line,) = lines
    assert line.level is ProgressLevel.WARNING
    assert "generated code" in line.message


def test_a_program_without_tests_or_a_reason_is_refused_by_field(project: Path) -> None:
    assert project.exists()
    with pytest.raises(ProgramTestsFailed) as refusal:
        tools().program_tests(environment(), lambda _: None)
    assert "infrastructure.without_tests" in refusal.value.next_step


def test_tests_run_in_the_projects_own_interpreter(project: Path) -> None:
    (project / "Pulumi.yaml").write_text("name: demo\nruntime: {name: python, options: {virtualenv: venv}}\n")
    (project / "venv" / "bin").mkdir(parents=True)
    (project / "venv" / "pyvenv.cfg").touch()
    python = project / "venv" / "bin" / "python"
    python.write_text(
        f'#!/bin/sh\nif [ "$1" = -I ]; then echo 3 12 3.272.0; exit; fi\necho ran >> {project}/ran\n'
        f'exec "{sys.executable}" "$@"\n'
    )
    python.chmod(0o755)
    (project / "tests").mkdir()
    (project / "tests" / "test_it.py").write_text("def test_it(): ...\n")
    assert tools().program_tests(environment(), lambda _: None).passed == 1
    assert (project / "ran").exists()


def test_packages_that_cannot_be_had_are_refused_before_the_tests(project: Path) -> None:
    (project / "Pulumi.yaml").write_text("name: demo\nruntime: {name: python, options: {toolchain: poetry}}\n")
    for ask in (tools().program_packages, lambda asked: tools().program_tests(asked, lambda _: None)):
        with pytest.raises(RejectedError, match="poetry"):
            ask(environment())
