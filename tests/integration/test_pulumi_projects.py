"""The example projects keep their own rules, in a process of their own, as a user who copied one would test it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECTS = Path(__file__).parents[2] / "fleet" / "pulumi"


def run_tests(project: Path) -> subprocess.CompletedProcess[str]:
    """Run the project's tests without any credential in the environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "VAULT_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=project,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def copied(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(PROJECTS / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")))


@pytest.mark.parametrize("name", ["demo", "production"])
def test_the_projects_own_tests_pass_anywhere(name: str, tmp_path: Path) -> None:
    run = run_tests(copied(name, tmp_path))
    assert run.returncode == 0, run.stdout
    assert " passed" in run.stdout


@pytest.mark.parametrize(
    ("name", "file", "good", "bad", "test"),
    [
        ("demo", "infrastructure.py", '"Owner": config.require("owner"),', "", "says_whose_it_is"),
        ("demo", "resources/bucket.py", "access_blocked: bool = True", "access_blocked: bool = False", "public"),
        ("demo", "infrastructure.py", "pulumi.Output.secret(token.value)", "token.value", "secret"),
        ("production", "infrastructure.py", ', "Owner": config.require("owner")', "", "says_whose_it_is"),
        ("production", "storage.py", "restrict_public_buckets=True", "restrict_public_buckets=False", "public"),
    ],
)  # fmt: skip
def test_they_fail_on_a_broken_program(name: str, file: str, good: str, bad: str, test: str, tmp_path: Path) -> None:
    project = copied(name, tmp_path)
    program = project / file
    text = program.read_text()
    assert good in text
    program.write_text(text.replace(good, bad))
    run = run_tests(project)
    assert run.returncode == 1, run.stdout
    assert any(line.startswith("FAILED") and test in line for line in run.stdout.splitlines()), run.stdout
