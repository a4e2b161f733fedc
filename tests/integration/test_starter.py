"""The process that started this one, over real processes: who it is, and what happens when it is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdtrue.runtime.starter import find_starter

VARIABLE = "HOLDTRUE_TEST_RUN"

CHILD = f"""
import os, sys, threading, time
from holdtrue.runtime.starter import StarterWatch, find_starter

def tell(name, text):
    open(f"{{sys.argv[1]}}/{{name}}.part", "w").write(text)
    os.rename(f"{{sys.argv[1]}}/{{name}}.part", f"{{sys.argv[1]}}/{{name}}")

run = os.environ.get("{VARIABLE}")
starter = find_starter("{VARIABLE}", run) if run else None
if starter is None:
    tell("ready", f"{{os.getpid()}} 0")
    time.sleep(60)
if "late" in sys.argv:  # The starter is killed while this process comes up.
    tell("waiting", "")
    while not os.path.exists(f"{{sys.argv[1]}}/killed"):
        time.sleep(0.02)
    starter = find_starter("{VARIABLE}", run)
lost = threading.Event()
watch = StarterWatch(starter, lost.set)
with watch.running():
    tell("ready", f"{{os.getpid()}} {{starter.pid}}")
    came = lost.wait(60)
    print("nobody reads this", flush=True)  # A write to a pipe without a reader ends a program.
    tell("lost", str(came and watch.has_gone()))
"""

STARTER = f"""
import os, subprocess, sys, time
command, run = sys.argv[2:], sys.argv[1]
environment = dict(os.environ, **({{"{VARIABLE}": run}} if run else {{}}))
subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
time.sleep(60)
"""

REAPER = """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans come to it, as to tini in a container
subprocess.Popen(sys.argv[1:])
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""


def wait_for(path: Path, seconds: float = 30.0) -> str:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not come"
        time.sleep(0.02)
    return path.read_text()


@contextmanager
def family(folder: Path, run: str, *between: str, late: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """An init of a container, a starter below it, and below that a child that says who started it."""
    child = [*between, sys.executable, "-c", CHILD, str(folder), *(["late"] if late else [])]
    starter = [sys.executable, "-c", STARTER, run, *child]
    reaper = subprocess.Popen([sys.executable, "-c", REAPER, *starter], start_new_session=True)
    try:
        yield reaper
    finally:
        os.killpg(reaper.pid, signal.SIGKILL)
        reaper.wait(10)


def child_of(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


@pytest.mark.parametrize("between", [(), ("sh", "-c", '"$@"; true', "sh")], ids=["directly", "through a shell"])
def test_a_killed_starter_is_noticed_at_once_and_output_without_a_reader_ends_nothing(
    tmp_path: Path, between: tuple[str, ...]
) -> None:
    with family(tmp_path, "run-1", *between) as reaper:
        _, starter = map(int, wait_for(tmp_path / "ready").split())
        assert starter == child_of(reaper.pid)
        began = time.monotonic()
        os.kill(starter, signal.SIGKILL)
        assert wait_for(tmp_path / "lost") == "True"
        assert time.monotonic() - began < 5


def test_a_starter_that_went_away_before_the_watch_began_is_noticed_too(tmp_path: Path) -> None:
    with family(tmp_path, "run-1", late=True) as reaper:
        wait_for(tmp_path / "waiting")
        os.kill(child_of(reaper.pid), signal.SIGKILL)
        (tmp_path / "killed").touch()
        assert wait_for(tmp_path / "lost") == "True"


def test_a_process_that_nobody_started_for_a_run_is_not_watched(tmp_path: Path) -> None:
    with family(tmp_path, "") as reaper:
        child, starter = map(int, wait_for(tmp_path / "ready").split())
        assert starter == 0
        os.kill(child_of(reaper.pid), signal.SIGKILL)
        time.sleep(1.5)
        os.kill(child, 0)
        assert not (tmp_path / "lost").exists()


def test_the_starter_is_the_nearest_ancestor_without_the_variable() -> None:
    starter = find_starter(VARIABLE, "nobody has this value")
    assert starter is not None
    assert starter.pid == os.getppid()
