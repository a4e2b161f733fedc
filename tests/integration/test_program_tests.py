"""A program's own tests, run by the real pytest in a child process."""

import os
import time
from pathlib import Path

import pytest

from holdtrue.adapters.program_tests import run_program_tests
from holdtrue.errors import ProgramTestsFailed
from holdtrue.models.base import Progress
from holdtrue.models.report import ProgramTests
from holdtrue.runtime.process import find_marked

_MARKER = "HOLDTRUE_PROGRAM_TEST"
_PROGRAM = "def size():\n    return 3\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "program"
    (folder / "tests").mkdir(parents=True)
    (folder / "infrastructure.py").write_text(_PROGRAM)
    return folder


def _run(project: Path, *files: str, timeout_seconds: float = 60.0) -> ProgramTests:
    for number, text in enumerate(files):
        (project / "tests" / f"test_{number}.py").write_text(text)
    return run_program_tests(project / "tests", project=project, timeout_seconds=timeout_seconds)


def test_passing_tests_are_counted(project: Path) -> None:
    lines: list[Progress] = []
    (project / "tests" / "test_it.py").write_text(
        "import pytest\nfrom infrastructure import size\n"
        "def test_size(): assert size() == 3\n"
        "def test_more(tmp_path): (tmp_path / 'x').write_text('x')\n"
        "@pytest.mark.skip(reason='later')\ndef test_later(): ...\n"
    )
    before = set(project.rglob("*"))
    result = run_program_tests(project / "tests", project=project, timeout_seconds=60, on_progress=lines.append)
    assert result == ProgramTests(passed=2, skipped=1)
    assert [(line.done, line.total) for line in lines] == [(1, 3), (2, 3), (3, 3)]
    assert set(project.rglob("*")) == before, "nothing is written into the project"


def test_a_failed_test_is_named_with_its_line_and_assertion(project: Path) -> None:
    with pytest.raises(ProgramTestsFailed) as raised:
        _run(project, "from infrastructure import size\ndef test_ok(): ...\ndef test_size():\n    assert size() == 4\n")
    assert "tests/test_0.py:4" in str(raised.value)
    assert "test_size" in str(raised.value)
    assert "assert 3 == 4" in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("import no_such_module\ndef test_a(): ...", id="import error"),
        pytest.param("def test_a(: ...", id="syntax error"),
        pytest.param("", id="nothing"),
        pytest.param("import pytest\n@pytest.mark.skip\ndef test_a(): ...", id="all skipped"),
        pytest.param("import pytest\npytest.skip('x', allow_module_level=True)", id="file skipped"),
        pytest.param("import pytest\n@pytest.mark.xfail\ndef test_a(): assert 0", id="all expected to fail"),
        pytest.param("import pytest\n@pytest.fixture\ndef x(): raise OSError\ndef test_a(x): ...", id="set-up"),
        pytest.param(
            "import pytest\n@pytest.fixture\ndef x():\n yield\n raise OSError\ndef test_a(x): ...", id="teardown"
        ),
        pytest.param("import os\ndef test_a(): ...\ndef test_b(): os._exit(0)", id="left with success"),
        pytest.param("import os\ndef test_a(): os.kill(os.getpid(), 9)", id="killed"),
        pytest.param("def test_a(): raise KeyboardInterrupt", id="interrupted"),
        pytest.param("import pytest\ndef test_a(): ...\ndef test_b(): pytest.exit('x', 0)", id="exit with success"),
        pytest.param("import sys\nsys.exit(0)", id="exit at import"),
        pytest.param(
            'import os\ndef test_a():\n for n in range(3, 20):\n  try: os.write(n, b\'{"kind": "end"\\n\')\n'
            "  except OSError: pass\n",
            id="garbled results",
        ),
    ],
)
def test_whatever_is_not_a_pass_is_refused(project: Path, text: str) -> None:
    with pytest.raises(ProgramTestsFailed):
        _run(project, text)


def test_a_broken_file_does_not_hide_behind_a_good_one(project: Path) -> None:
    with pytest.raises(ProgramTestsFailed) as raised:
        _run(project, "def test_a(): ...", "import no_such_module")
    assert "no_such_module" in str(raised.value)


def test_a_broken_conftest_is_refused(project: Path) -> None:
    (project / "tests" / "conftest.py").write_text("raise ValueError('broken conftest')")
    with pytest.raises(ProgramTestsFailed) as raised:
        _run(project, "def test_a(): ...")
    assert "broken conftest" in str(raised.value)


def test_a_program_without_tests_is_refused(project: Path) -> None:
    with pytest.raises(ProgramTestsFailed):
        run_program_tests(project / "no-tests", project=project, timeout_seconds=10)


def test_tests_that_hang_end_in_time_and_leave_nothing(project: Path) -> None:
    marker = os.urandom(8).hex()
    text = (
        "import os, subprocess, time\n"
        f"def test_a():\n subprocess.Popen(['sleep', '60'], env=dict(os.environ, {_MARKER}='{marker}'))\n"
        " time.sleep(60)\n"
    )
    began = time.monotonic()
    with pytest.raises(ProgramTestsFailed, match="test_a"):
        _run(project, text, timeout_seconds=4)
    assert time.monotonic() - began < 15
    assert find_marked(_MARKER, marker) == set()


def test_they_see_no_credential(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".aws").mkdir(parents=True)
    (home / ".aws" / "credentials").write_text("canary-1111")
    monkeypatch.setenv("HOME", str(home))
    for name in ("AWS_SECRET_ACCESS_KEY", "VAULT_TOKEN", "HOLDTRUE_VAULT_SECRET_ID", "PULUMI_CONFIG_PASSPHRASE"):
        monkeypatch.setenv(name, "canary-2222")
    look = (
        "import os, pathlib\n"
        "def test_environment(): assert 'canary-2222' not in str(os.environ)\n"
        "def test_home(): assert not (pathlib.Path.home() / '.aws').exists()\n"
    )
    assert _run(project, look).passed == 2
    monkeypatch.setenv("HOLDTRUE_PASS_ENVIRONMENT", "VAULT_TOKEN")
    with pytest.raises(ProgramTestsFailed):  # the positive control: what is passed on is seen
        _run(project, look)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", "[pytest]\npythonpath = lib\n"),
        ("pyproject.toml", "[tool.pytest.ini_options]\npythonpath = ['lib']\n"),
    ],
)
def test_the_projects_own_configuration_holds(project: Path, name: str, text: str) -> None:
    (project / "lib").mkdir()
    (project / "lib" / "sizes.py").write_text("LARGE = 9\n")
    test = "from sizes import LARGE\ndef test_a(): assert LARGE == 9\n"
    with pytest.raises(ProgramTestsFailed):
        _run(project, test)
    (project / name).write_text(text)
    assert _run(project, test).passed == 1


def test_a_pyproject_without_pytest_is_no_hindrance(project: Path) -> None:
    (project / "pyproject.toml").write_text("[project]\nname = 'program'\n")
    assert _run(project, "def test_a(): ...").passed == 1


def test_the_workers_pytest_configuration_does_not_reach_in(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.parent / "conftest.py").write_text("raise ValueError('above the project')")
    (project.parent / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    monkeypatch.setenv("PYTEST_PLUGINS", "no_such_plugin")
    assert _run(project, "def test_a(): ...").passed == 1
