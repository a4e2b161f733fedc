"""Real processes, seen from outside."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from holdtrue.models.lease import Liveness, ProcessIdentity
from holdtrue.runtime import liveness as module
from holdtrue.runtime.liveness import current_process, liveness


def identity_of(child: "subprocess.Popen[bytes]") -> ProcessIdentity:
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
