"""Which process this is, and whether another one still lives, told from /proc."""

import os
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path

from holdtrue.models.lease import Liveness, ProcessIdentity


def current_process() -> ProcessIdentity:
    """This process, told apart from any other one there ever was or will be."""
    pid = os.getpid()
    stat = _stat(pid)
    return ProcessIdentity(machine=_machine(), pid=pid, started_ticks=stat[1] if stat else 0, host=socket.gethostname())


def liveness(process: ProcessIdentity) -> Liveness:
    """Whether it lives. Only a process of this boot and this pid namespace can be seen; a stopped one lives.

    Where /proc hides the processes of others (hidepid, proc(5)), all that can be told is that one has this id.
    """
    if process.machine != _machine():
        return Liveness.UNKNOWN
    found = _stat(process.pid)
    if found is None:
        return Liveness.UNKNOWN if _is_there(process.pid) else Liveness.DEAD
    state, started_ticks = found
    return Liveness.ALIVE if started_ticks == process.started_ticks and state not in "ZX" else Liveness.DEAD


def _is_there(pid: int) -> bool:
    try:
        with suppress(PermissionError):  # Another user's.
            os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@cache
def _machine() -> str:
    """Boot and pid namespace: containers of one machine share the first and not the second."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"


def _stat(pid: int) -> tuple[str, int] | None:
    """State and start time (proc_pid_stat(5), fields 3 and 22); None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses, and may itself hold any character.
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[19])
