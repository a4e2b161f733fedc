import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from holdtrue.runtime.starting_environment import starting_environment


def test_a_process_that_was_just_started_is_found_every_time() -> None:
    for number in range(200):
        mark = f"HOLDTRUE_TEST_MARK={number}"
        with subprocess.Popen(["/bin/sleep", "60"], env=dict([mark.split("=")])) as process:
            try:
                assert mark.encode() in starting_environment(process.pid)
            finally:
                process.kill()


def test_the_moment_in_which_a_program_is_loaded_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    read, looks = Path.read_bytes, iter((b"", b"", b""))
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: next(looks, read(path)) if path.name == "environ" else _no_command_line(path)
    )

    assert starting_environment(os.getpid()) == read(Path(f"/proc/{os.getpid()}/environ")).split(b"\0")
    assert next(looks, None) is None, "positive control: it looked again"


def test_a_program_that_is_never_loaded_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_bytes", _no_command_line)

    began = time.monotonic()
    assert starting_environment(os.getpid()) == [b""]
    assert 0.9 < time.monotonic() - began < 30


def test_an_empty_environment_costs_one_more_look(monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}) as process:
        assert process.stdout is not None
        process.stdout.readline()
        pauses: list[float] = []
        monkeypatch.setattr(time, "sleep", pauses.append)
        assert starting_environment(process.pid) == [b""]
        assert len(pauses) == 1
        process.kill()


def test_a_zombie_has_none() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(OSError, match="No such process"):
            starting_environment(process.pid)


def test_a_process_that_is_gone_is_an_error() -> None:
    with pytest.raises(OSError, match="No such file"):
        starting_environment(2**22 + 1)


def _no_command_line(_: Path) -> bytes:
    return b""
