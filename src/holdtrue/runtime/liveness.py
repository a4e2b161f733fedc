"""Identifies this process, and tells from /proc whether another process and its tools still live."""

import os
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from holdtrue.models.lease import Liveness, ProcessIdentity
from holdtrue.models.lock import Observation
from holdtrue.runtime.starting_environment import starting_environment

OWNER_VARIABLE: Final = "HOLDTRUE_TOOL_OWNER"
"""Environment variable of every tool, and of all that it starts: the process that started the tool."""


def current_process() -> ProcessIdentity:
    """Identify this process uniquely, among past and future processes too."""
    return identify(os.getpid())


def identify(pid: int) -> ProcessIdentity:
    """Identify the process that has this id now."""
    stat = _stat(pid)
    return ProcessIdentity(
        machine=_machine(),
        pid=pid,
        started_ticks=stat.started_ticks if stat else 0,
        host=socket.gethostname(),
        user_id=os.geteuid() if pid == os.getpid() else None,
    )


def parent_of(pid: int) -> int:
    """The number of its parent; 0 when it has none that can be seen, or is gone."""
    stat = _stat(pid)
    return stat.parent if stat else 0


def liveness(process: ProcessIdentity) -> Liveness:
    """Tell whether a process lives. Only one of this boot and pid namespace can be seen; a stopped one lives.

    Where /proc hides the processes of others (hidepid, proc(5)), all that can be told is that the id is in use.
    """
    if process.machine != _machine():
        return Liveness.UNKNOWN
    found = _stat(process.pid)
    if found is None:
        return Liveness.UNKNOWN if _is_there(process.pid) else Liveness.DEAD
    is_it = found.started_ticks == process.started_ticks
    return Liveness.ALIVE if is_it and found.state not in "ZX" else Liveness.DEAD


def owner_mark(process: ProcessIdentity) -> str:
    """The value of `OWNER_VARIABLE` for tools that this process starts."""
    return f"{process.pid}.{process.started_ticks}"


def observe(process: ProcessIdentity) -> Observation:
    """Tell whether a process and the tools that it started live.

    Tools outlive a process that is killed: an interrupted engine still saves its state. Only the same user, or root,
    can prove that they are gone: nobody else may read the environments of those processes.
    """
    if process.machine != _machine():
        return Observation(process=Liveness.UNKNOWN, tools=Liveness.UNKNOWN)
    # The process first: while it lives it may start another tool.
    alive = liveness(process)
    found, is_hidden = _tools(process)
    if not found:  # A second look finds what was forked during the first by a process that has ended since.
        found, is_hidden = _tools(process)
    if found:
        return Observation(process=alive, tools=Liveness.ALIVE, tool_pids=tuple(sorted(found)))
    return Observation(process=alive, tools=Liveness.UNKNOWN if is_hidden else Liveness.DEAD)


def _tools(process: ProcessIdentity) -> tuple[set[int], bool]:
    """Find the processes with its mark, and tell whether others may be hidden. A zombie's environment is empty."""
    wanted = f"{OWNER_VARIABLE}={owner_mark(process)}".encode()
    found: set[int] = set()
    is_hidden = process.user_id is None or os.geteuid() not in (0, process.user_id)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if wanted in starting_environment(int(entry.name)):
                    found.add(int(entry.name))
            except PermissionError:
                is_hidden = is_hidden or _may_be_started_by(process, entry)
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found, is_hidden


def _may_be_started_by(process: ProcessIdentity, entry: Path) -> bool:
    """Tell whether an unreadable process belongs to its user and is not older.

    Even root cannot read a process that has more capabilities than itself.
    """
    stat = _stat(int(entry.name))
    with suppress(FileNotFoundError, ProcessLookupError):
        is_younger = stat is not None and stat.started_ticks >= process.started_ticks
        return is_younger and entry.stat().st_uid == process.user_id
    return False


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


class _Stat(NamedTuple):
    state: str
    parent: int
    started_ticks: int


def _stat(pid: int) -> _Stat | None:
    """Fields 3, 4 and 22 of proc_pid_stat(5); None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses, and may itself hold any character.
    fields = text[text.rindex(")") + 2 :].split()
    return _Stat(fields[0], int(fields[1]), int(fields[19]))
