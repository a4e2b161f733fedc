import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.child import run_child

# Starts a grandchild in the same process group, writes its id, and waits.
_PARENT = 'sleep 60 & echo $! > "$0.draft"; mv "$0.draft" "$0"; sleep "$1"'


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _wait_gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while _is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not _is_alive(pid)


def test_the_output_and_the_exit_code_come_back() -> None:
    result = run_child(["sh", "-c", "echo one; echo two >&2; exit 3"], timeout_seconds=10)

    assert result.exit_code == 3
    assert result.output.split() == ["one", "two"]
    assert not result.succeeded


@pytest.mark.parametrize("parent_seconds", ["0", "60"])
def test_no_descendant_outlives_the_call(tmp_path: Path, parent_seconds: str) -> None:
    pid_file = tmp_path / "pid"

    result = run_child(["sh", "-c", _PARENT, pid_file, parent_seconds], timeout_seconds=0.5)

    assert result.timed_out == (parent_seconds == "60")
    assert _wait_gone(int(pid_file.read_text(encoding="utf-8")))


def test_no_descendant_outlives_a_set_up_that_is_terminated(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = (
        "import signal, sys\nfrom tools.setup import _stop\nfrom tools.child import run_child\n"
        "signal.signal(signal.SIGTERM, _stop)\n"
        f"run_child(['sh', '-c', {_PARENT!r}, {str(pid_file)!r}, '60'], timeout_seconds=60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    try:
        deadline = time.monotonic() + 10
        while not pid_file.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        grandchild = int(pid_file.read_text(encoding="utf-8"))
        assert _is_alive(grandchild), "the check must be able to see a process that lives"
        os.kill(owner.pid, signal.SIGTERM)
        assert owner.wait(10) == 128 + signal.SIGTERM
    finally:
        owner.kill()
        owner.wait()
    assert _wait_gone(grandchild)
