"""Real processes, seen from outside."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from holdtrue.models.lease import Liveness, ProcessIdentity
from holdtrue.models.lock import Observation
from holdtrue.runtime import liveness as module
from holdtrue.runtime.liveness import current_process, liveness, observe


def identity_of(child: "subprocess.Popen[Any]") -> ProcessIdentity:
    stat = Path(f"/proc/{child.pid}/stat").read_text()
    ticks = int(stat[stat.rindex(")") + 2 :].split()[19])
    return current_process().model_copy(update={"pid": child.pid, "started_ticks": ticks})


def test_this_process_lives() -> None:
    assert liveness(current_process()) is Liveness.ALIVE


def test_a_process_that_proc_hides_is_not_taken_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen((sys.executable, "-c", "import time; time.sleep(60)"))
    identity = identity_of(child)
    monkeypatch.setattr(module, "_stat", lambda _: None)  # As hidepid=2 has it for the processes of others.
    try:
        assert liveness(identity) is Liveness.UNKNOWN
    finally:
        child.kill()
        child.wait(5)
    assert liveness(identity) is Liveness.DEAD


def test_a_child_through_its_life() -> None:
    child = subprocess.Popen((sys.executable, "-c", "import time; time.sleep(60)"))
    try:
        identity = identity_of(child)
        assert liveness(identity) is Liveness.ALIVE
        child.send_signal(signal.SIGSTOP)
        assert liveness(identity) is Liveness.ALIVE
        later = identity.model_copy(update={"started_ticks": identity.started_ticks + 1})
        assert liveness(later) is Liveness.DEAD, "another process with the same id"
        child.kill()
        deadline = time.monotonic() + 5
        while not os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            assert time.monotonic() < deadline
        assert liveness(identity) is Liveness.DEAD, "a zombie"
        child.wait(5)
        assert liveness(identity) is Liveness.DEAD
        elsewhere = identity.model_copy(update={"machine": "another-boot/pid:[1]"})
        assert liveness(elsewhere) is Liveness.UNKNOWN
    finally:
        child.kill()
        child.wait(5)


START_TOOL = """
    import subprocess, sys
    from pathlib import Path
    from holdtrue.runtime.process import run_tool

    run_tool(
        ["/bin/sh", "-c", "echo $$; exec setsid -w sleep 60"],
        environment={"PATH": "/usr/bin:/bin"}, folder=Path("/"), on_line=lambda line: print(line, flush=True),
        timeout_seconds=60,
    )
"""
"""A process whose tool leaves the session that it was given."""


def test_the_tools_of_a_killed_process_are_seen_until_the_last_has_ended() -> None:
    with subprocess.Popen((sys.executable, "-c", dedent(START_TOOL)), stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        owner = identity_of(child)
        wait_for(lambda: len(observe(owner).tool_pids) == 2)
        assert observe(owner).process is observe(owner).tools is Liveness.ALIVE
        child.kill()
    assert (observe(owner).process, observe(owner).tools) == (Liveness.DEAD, Liveness.ALIVE)
    first, last = observe(owner).tool_pids
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: observe(owner).tool_pids == (last,))
    os.kill(last, signal.SIGKILL)
    wait_for(lambda: observe(owner).tools is Liveness.DEAD)
    assert observe(current_process()).tools is Liveness.DEAD


def test_the_tools_of_another_machine_cannot_be_seen() -> None:
    elsewhere = current_process().model_copy(update={"machine": "another-boot/pid:[1]"})
    assert observe(elsewhere) == Observation(process=Liveness.UNKNOWN, tools=Liveness.UNKNOWN)


def test_another_user_s_tools_are_not_taken_for_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = current_process().model_copy(update={"pid": 2**22 + 1})
    assert observe(gone).tools is Liveness.DEAD
    assert observe(gone.model_copy(update={"user_id": None})).tools is Liveness.UNKNOWN
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert observe(gone).tools is Liveness.UNKNOWN


def test_what_may_not_be_read_counts_unless_it_is_older_than_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    own = current_process()
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path == Path(f"/proc/{own.pid}/environ"):
            raise PermissionError
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    before = own.model_copy(update={"pid": 2**22 + 1, "started_ticks": own.started_ticks - 1})
    after = own.model_copy(update={"pid": 2**22 + 1, "started_ticks": own.started_ticks + 1})
    assert observe(before).tools is Liveness.UNKNOWN
    assert observe(after).tools is Liveness.DEAD


def wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)
