"""What becomes of SIGHUP and SIGTERM in a process that has imported the credentials."""

import signal
import subprocess
import sys
from textwrap import dedent

import pytest

SECONDS = 30
TAKE_OVER = """
    import signal, sys
    from holdtrue.credentials import termination

    print("ready", flush=True)
    sys.stdin.readline()
"""
OWN_HANDLER = """
    import signal, sys

    signal.signal(signal.SIGHUP, lambda *_: print("reloaded", flush=True))
    from holdtrue.credentials import termination

    print("ready", flush=True)
    sys.stdin.readline()
    sys.stdin.readline()
"""


def start(program: str, disposition: str) -> "subprocess.Popen[str]":
    command = ["env", disposition, sys.executable, "-c", dedent(program)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_hangup_ends_a_process_as_a_termination_does(number: signal.Signals) -> None:
    with start(TAKE_OVER, "--default-signal=HUP,TERM") as child:
        child.send_signal(number)
        assert child.wait(SECONDS) == -signal.SIGTERM


def test_a_hangup_that_was_ignored_from_the_start_stays_ignored() -> None:
    """As `nohup` starts a process."""
    with start(TAKE_OVER, "--ignore-signal=HUP") as child:
        child.send_signal(signal.SIGHUP)
        child.communicate("go\n", timeout=SECONDS)
        assert child.returncode == 0


def test_a_handler_of_the_user_stays() -> None:
    with start(OWN_HANDLER, "--default-signal=HUP") as child:
        child.send_signal(signal.SIGHUP)
        assert child.stdout is not None
        assert child.stdout.readline() == "reloaded\n"
        child.communicate("go\ngo\n", timeout=SECONDS)
        assert child.returncode == 0
