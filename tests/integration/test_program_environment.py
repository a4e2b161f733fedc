"""A project's own Python packages: environments made by the real uv, and programs and their tests in them."""

import os
import signal
import subprocess
import sys
import threading
import time
import venv
from pathlib import Path

import pytest
from pydantic import SecretStr

from holdtrue.adapters.program_tests import run_program_tests
from holdtrue.adapters.pulumi.engine import PulumiEngine
from holdtrue.adapters.pulumi.packages import program_packages, require_usable
from holdtrue.adapters.uv_resolver import EnvironmentMaker
from holdtrue.errors import ProgramFailed, ProgramTestsFailed, RejectedError, ServiceNotReady, SettingInvalid
from holdtrue.models.credentials import StackAccess
from holdtrue.models.program import ProgramPackages
from tests.integration.program_wheels import wheels, write_wheel

__all__ = ["wheels"]

PROGRAM = "import sys, palette, pulumi\npulumi.export('colour', palette.COLOUR)\npulumi.export('prefix', sys.prefix)\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: tiny\nruntime:\n  name: python\n  options:\n    virtualenv: venv\n")
    (folder / "__main__.py").write_text(PROGRAM)
    (folder / "requirements.txt").write_text("pulumi>=3.200\npalette<2\n")
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def make(project: Path, cache: Path, *, timeout_seconds: float = 120.0) -> Path:
    packages = program_packages(project)
    assert packages.named_in is not None
    return EnvironmentMaker(cache, timeout_seconds).python_for(packages.named_in)


def engine_of(project: Path, python: Path) -> PulumiEngine:
    backend = project.parent / "state"
    backend.mkdir(exist_ok=True)
    return PulumiEngine(
        project=project,
        stack="dev",
        access=StackAccess(
            backend_url=backend.as_uri(),
            secrets_provider="passphrase",
            environment={"PULUMI_CONFIG_PASSPHRASE": SecretStr("correct horse battery")},
        ),
        timeout_seconds=60,
        python=lambda: python,
    )


def state(folder: Path) -> set[tuple[Path, int]]:
    return {(path, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def environments(cache: Path) -> list[Path]:
    return sorted(path for path in cache.glob("*/*") if path.is_dir())


@pytest.mark.usefixtures("wheels")
def test_a_program_and_its_tests_run_in_the_environment_that_its_project_names(project: Path, cache: Path) -> None:
    (project / "tests").mkdir()
    (project / "tests" / "test_it.py").write_text(
        "import sys, palette\ndef test_it():\n    assert palette.COLOUR == 'blue 1.0'\n"
    )
    before = state(project)
    python = require_usable(make(project, cache), program_packages(project))
    assert run_program_tests(project / "tests", project=project, timeout_seconds=60, python=python).passed == 1
    with pytest.raises(ProgramTestsFailed, match="palette"):
        run_program_tests(project / "tests", project=project, timeout_seconds=60)
    made = state(python.parent.parent)
    engine = engine_of(project, python)
    result = engine.apply(engine.preview())
    assert result.outputs.values == {"colour": "blue 1.0", "prefix": str(python.parent.parent)}
    assert engine.detect().unchecked == ()
    assert state(project) == before, "nothing is written into the project"
    assert state(python.parent.parent) == made, "runs leave the environment as it was made"
    with pytest.raises(ProgramFailed, match="palette"):
        engine_of(project, Path(sys.executable)).preview()


@pytest.mark.usefixtures("wheels")
def test_an_environment_is_made_once_for_equal_files(project: Path, cache: Path) -> None:
    (project / "requirements.txt").write_text("-r more.txt\npulumi>=3.200\n")
    (project / "more.txt").write_text("palette\n")
    first = make(project, cache)
    pins = (first.parent.parent / "packages.txt").read_text().split()
    assert "palette==2.0" in pins
    assert any(pin.startswith("pytest==") for pin in pins)
    write_wheel(project.parent / "wheels", "palette", "3.0", {"palette.py": ""})
    assert make(project, cache) == first, "what was chosen stays"
    (project / "more.txt").write_text("palette<3\n")
    assert make(project, cache) != first
    assert len(environments(cache)) == 2


@pytest.mark.usefixtures("wheels")
def test_an_environment_whose_python_is_gone_is_made_again(project: Path, cache: Path) -> None:
    first = make(project, cache)
    first.unlink()
    second = make(project, cache)
    assert second.exists()
    assert environments(cache) == [second.parent.parent]


@pytest.mark.usefixtures("wheels")
def test_two_runs_that_want_the_same_environment_make_one(project: Path, cache: Path) -> None:
    found: list[Path] = []
    script = "import sys; from pathlib import Path; from holdtrue.adapters.uv_resolver import EnvironmentMaker as Maker; print(Maker(Path(sys.argv[1]), 120.0).python_for(Path(sys.argv[2])))"  # fmt: skip # noqa: E501
    command = [sys.executable, "-c", script, str(cache), str(project / "requirements.txt")]

    def ask() -> None:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        found.append(Path(answer.stdout.strip()))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1
    assert environments(cache) == [found[0].parent.parent]


@pytest.fixture
def slow_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A uv that makes the environment and then installs nothing for a long time."""
    folder = tmp_path / "slow"
    folder.mkdir()
    real = Path(sys.executable).parent / "uv"
    (folder / "uv").write_text(
        f'#!/bin/sh\ncase "$1 $2" in "pip install") touch {folder}/installing; sleep 60;; esac\nexec {real} "$@"\n'
    )
    (folder / "uv").chmod(0o755)
    monkeypatch.setenv("SLOW_UV", str(folder / "uv"))
    return folder / "installing"


@pytest.mark.usefixtures("wheels")
def test_a_maker_that_was_killed_leaves_nothing_that_is_taken_for_whole(
    project: Path, cache: Path, slow_uv: Path
) -> None:
    script = (
        "import os, sys; from pathlib import Path; "
        "from holdtrue.adapters.uv_resolver import command, EnvironmentMaker; "
        "command.find_uv = lambda: Path(os.environ['SLOW_UV']); "
        "EnvironmentMaker(Path(sys.argv[1]), 120.0).python_for(Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", script, str(cache), str(project / "requirements.txt")]
    with subprocess.Popen(command, start_new_session=True) as maker:
        deadline = time.monotonic() + 60
        while not slow_uv.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert slow_uv.exists()
        with pytest.raises(ServiceNotReady):
            make(project, cache, timeout_seconds=0.5)
        (half,) = environments(cache)
        os.kill(maker.pid, signal.SIGKILL)
    python = make(project, cache)
    assert environments(cache) == [python.parent.parent]
    assert python.parent.parent != half


@pytest.mark.parametrize(
    ("requirements", "told"),
    [
        ("pulumi>=3.200\npalette>=9\n", "palette"),
        ("palette\n-e .\n", "folder"),
        ("./lib\n", "lib"),
        ("-r none.txt\n", "none.txt"),
        ("palette ==\n", "uv"),
    ],
)
@pytest.mark.usefixtures("wheels")
def test_what_cannot_be_installed_is_told_and_not_kept(
    project: Path, cache: Path, requirements: str, told: str
) -> None:
    (project / "requirements.txt").write_text(requirements)
    (project / "lib").mkdir()
    with pytest.raises(RejectedError) as refusal:
        make(project, cache)
    assert told in str(refusal.value)
    assert str(project) in str(refusal.value)
    assert not list(cache.glob("*/ready"))


@pytest.mark.parametrize(("requirements", "told"), [("palette\n", "no pulumi"), ("pulumi==3.100.0\n", "3.100.0")])
@pytest.mark.usefixtures("wheels")
def test_an_environment_without_a_usable_pulumi_is_refused(
    project: Path, cache: Path, requirements: str, told: str
) -> None:
    (project / "requirements.txt").write_text(requirements)
    with pytest.raises(RejectedError, match=told) as refusal:
        require_usable(make(project, cache), program_packages(project))
    assert refusal.value.where == str(project / "requirements.txt")


@pytest.mark.usefixtures("wheels")
def test_a_cache_that_cannot_be_written_to_is_told_by_its_setting(project: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingInvalid, match="HOLDTRUE_CACHE"):
        make(project, tmp_path / "file" / "cache")


@pytest.mark.usefixtures("wheels")
def test_a_uv_project_gets_what_its_lock_says(project: Path, cache: Path, wheels: Path) -> None:
    (project / "Pulumi.yaml").write_text("name: tiny\nruntime:\n  name: python\n  options:\n    toolchain: uv\n")
    (project / "requirements.txt").unlink()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "tiny"\nversion = "1"\nrequires-python = ">=3.11"\n'
        f'dependencies = ["pulumi>=3.200", "palette"]\n[tool.uv]\nfind-links = ["{wheels}"]\nno-index = true\n'
    )
    unlocked = make(project, cache)
    assert "palette==2.0" in (unlocked.parent.parent / "packages.txt").read_text().split()
    lock = ["lock", "--upgrade-package", "palette==1.0"]
    subprocess.run([Path(sys.executable).parent / "uv", *lock], cwd=project, check=True, capture_output=True)
    before = state(project)
    locked = make(project, cache)
    assert "palette==1.0" in (locked.parent.parent / "packages.txt").read_text().split()
    assert state(project) == before
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(text.replace('"palette"', '"palette>=2"'))
    with pytest.raises(RejectedError, match="uv lock"):
        make(project, cache)


def test_a_virtual_environment_that_is_there_is_used(project: Path, wheels: Path) -> None:
    folder = project / "venv"
    venv.create(folder, symlinks=True)
    install = ["pip", "install", "--python", str(folder / "bin" / "python"), "pulumi", "palette==2.0"]
    subprocess.run([Path(sys.executable).parent / "uv", *install], check=True, capture_output=True)
    packages = program_packages(project)
    assert packages == ProgramPackages(environment=folder)
    engine = engine_of(project, require_usable(folder / "bin" / "python", packages))
    assert engine.apply(engine.preview()).outputs.values == {"colour": "blue 2.0", "prefix": str(folder)}
    assert wheels.exists()
