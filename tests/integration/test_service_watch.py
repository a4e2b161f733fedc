"""A session fails when a service logged an unexpected error: planted ones are found, declared ones are not."""

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.deployment import ROOT

CONFTEST = """\
import pytest
from tests.conftest import pytest_configure, pytest_terminal_summary, watch_services

@pytest.fixture(scope="session")
def log(watch_services, tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    path = folder / "openbao.log"
    path.write_text("2026-11-30T03:34:30.000Z [WARN]  core: started\\n")
    with watch_services(folder):
        yield path.open("a", buffering=1)
"""
QUIET = """\
def test_before(log):
    log.write("2026-11-30T03:34:31.000Z [WARN]  core: nothing\\n")

{decorator}
def test_planter(log):
    log.write({planted!r})

def test_after(log):
    log.write("2026-11-30T03:34:33.000Z [WARN]  core: nothing\\n")
"""
ERROR_LINE = "2026-11-30T03:34:32.000Z [ERROR] core: cannot seal\n"
TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nValueError: no\n'
EXPECTS = "import pytest\n@pytest.mark.expected_service_errors('openbao', 'cannot seal', 'It is sealed on purpose.')"


def run_session(folder: Path, *, planted: str, decorator: str = "") -> tuple[int, str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(QUIET.format(planted=planted, decorator=decorator))
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib --strict-markers\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", str(folder / "pytest.ini"), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("planted", "line"), [(ERROR_LINE, 3), (TRACEBACK, 3)])
def test_planted_error_fails_the_session_and_is_told_with_its_test(tmp_path: Path, planted: str, line: int) -> None:
    code, output = run_session(tmp_path, planted=planted)
    assert code == 1
    assert "3 passed, 1 error" in output
    named = ("openbao.log", f"line {line}", "test_it.py::test_planter", planted.splitlines()[-1], "Next:")
    assert [text for text in named if text not in output] == []
    assert "::test_after:" not in output


def test_declared_error_passes(tmp_path: Path) -> None:
    code, output = run_session(tmp_path, planted=ERROR_LINE, decorator=EXPECTS)
    assert code == 0, output
    assert "cannot seal" not in output


def test_declared_error_of_another_test_does_not_count(tmp_path: Path) -> None:
    elsewhere = f"{EXPECTS}\ndef test_other(log):\n    pass\n"
    code, output = run_session(tmp_path, planted=ERROR_LINE, decorator=elsewhere)
    assert code == 1, output


def test_declared_error_that_does_not_come_is_listed(tmp_path: Path) -> None:
    code, output = run_session(tmp_path, planted="", decorator=EXPECTS)
    assert code == 0, output
    assert "openbao: cannot seal" in output


def test_declared_error_that_came_is_not_listed(tmp_path: Path) -> None:
    both = f"{EXPECTS}\n@pytest.mark.expected_service_errors('openbao', 'never said', 'A positive control.')"
    code, output = run_session(tmp_path, planted=ERROR_LINE, decorator=both)
    assert code == 0, output
    assert "openbao: never said" in output
    assert "openbao: cannot seal" not in output
