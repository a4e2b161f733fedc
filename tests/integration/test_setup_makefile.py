import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PROMISED = {"help", "setup", "demo", "test", "faults", "soak", "check", "bench", "blocks", "clean"}


def _fake_python(folder: Path, name: str, version: str) -> Path:
    """A program that answers the two questions of `tools/find-python` as a Python of that version would."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    code = f"import sys; sys.version_info = ({version}); sys._base_executable = '{program}'; exec(sys.argv[1])"
    program.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -c "{code}" "$1"\n', encoding="utf-8")
    program.chmod(0o755)
    return program


def _find_python(search_path: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ("/bin/sh", CHECKOUT / "tools/find-python"),
        env={"PATH": search_path, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_make_without_a_target_lists_every_promised_target() -> None:
    result = subprocess.run(("make",), cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=30)

    assert set(re.findall(r"make ([a-z]+)", result.stdout)) == PROMISED


def test_ci_runs_the_targets_a_person_runs() -> None:
    text = (CHECKOUT / ".ci/run").read_text(encoding="utf-8")

    assert re.findall(r"^make ([a-z]+)", text, re.MULTILINE) == ["setup", "check", "test", "faults", "demo"]
    assert os.access(CHECKOUT / ".ci/run", os.X_OK)
    assert "set -euo pipefail" in text


@pytest.mark.parametrize(("python", "is_good"), [("true", True), ("false", False)])
def test_the_checks_run_beside_each_other_and_each_counts(python: str, *, is_good: bool) -> None:
    done = subprocess.run(
        ("make", "--old-file=setup", "check", "CHECKS=check-format check-lock", f"PYTHON={python}"),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode == 0) is is_good
    assert ("check-format" in done.stderr) is not is_good
    assert "uv lock --check" in done.stdout, "the others go on, so that one run shows all that is wrong"


@pytest.mark.parametrize("version", ["3, 11, 0", "3, 13, 9"])
def test_a_supported_python_is_found(tmp_path: Path, version: str) -> None:
    python = _fake_python(tmp_path, "python3", version)

    assert _find_python(str(tmp_path)).stdout.strip() == str(python)


def test_an_unsupported_python_and_a_dead_shim_are_passed_over(tmp_path: Path) -> None:
    _fake_python(tmp_path, "python3", "3, 14, 0")
    (tmp_path / "python3.13").write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
    (tmp_path / "python3.13").chmod(0o755)
    good = _fake_python(tmp_path, "python3.12", "3, 12, 1")

    assert _find_python(str(tmp_path)).stdout.strip() == str(good)


def test_without_a_supported_python_one_line_says_so(tmp_path: Path) -> None:
    _fake_python(tmp_path, "python3", "3, 9, 2")

    result = _find_python(str(tmp_path))

    assert result.returncode != 0
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1


def test_a_python_named_by_the_user_goes_first(tmp_path: Path) -> None:
    _fake_python(tmp_path, "python3", "3, 11, 0")
    chosen = _fake_python(tmp_path / "own", "mine", "3, 12, 0")

    assert _find_python(str(tmp_path), HOLDTRUE_PYTHON=str(chosen)).stdout.strip() == str(chosen)


def test_of_a_virtual_environment_the_python_below_is_found(tmp_path: Path) -> None:
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"), check=True, timeout=30)

    found = Path(_find_python(str(tmp_path / "venv/bin")).stdout.strip())

    assert found.is_file()
    assert not found.is_relative_to(tmp_path)
