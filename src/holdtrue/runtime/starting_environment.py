"""Reads the environment that a process was started with, even while the process is still being started."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

_EXECUTING_SECONDS: Final = 1.0
"""How long to wait for a program that is being loaded, which takes the kernel microseconds."""
_PAUSE_SECONDS: Final = 0.0005


def starting_environment(pid: int) -> list[bytes]:
    """The `NAME=value` entries of a process (Linux, /proc/PID/environ). Empty for a kernel thread.

    While the kernel replaces one program by another (execve), the file is empty for a moment, and `subprocess.Popen`
    may already have returned. This function waits until that moment is over. Otherwise a tool that was just started
    would seem to have no environment, and could not be found by a variable in it.

    Raises:
        OSError: the process has ended, or this user may not read its environment.
    """
    folder = Path(f"/proc/{pid}")
    deadline = time.monotonic() + _EXECUTING_SECONDS
    is_loaded = False
    while not (text := (folder / "environ").read_bytes()) and _has_program(folder):
        if is_loaded or time.monotonic() > deadline:
            break
        # The command line appears just before the environment, so one more look decides.
        is_loaded = bool((folder / "cmdline").read_bytes())
        time.sleep(_PAUSE_SECONDS)
    return text.split(b"\0")


def _has_program(folder: Path) -> bool:
    """False for a kernel thread."""
    with suppress(OSError):
        return bool(os.readlink(folder / "exe"))  # noqa: PTH115
    return False
