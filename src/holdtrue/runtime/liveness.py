"""Which process this is, and whether another one or the tools that it has started still live, told from /proc."""

import os
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from holdtrue.models.lease import Liveness, ProcessIdentity
from holdtrue.models.lock import Sighting

OWNER_VARIABLE: Final = "HOLDTRUE_TOOL_OWNER"
"""Every tool and all that it starts carry it: which process started the tool."""


def current_process() -> ProcessIdentity:
    """This process, told apart from any other one there ever was or will be."""
    return identify(os.getpid())


def identify(pid: int) -> ProcessIdentity:
    """The process that has this number now."""
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
    """Whether it lives. Only a process of this boot and this pid namespace can be seen; a stopped one lives.

    Where /proc hides the processes of others (hidepid, proc(5)), all that can be told is that one has this id.
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


def sight(process: ProcessIdentity) -> Sighting:
    """What can be seen of it from here, and of the tools that it has started.

    Tools outlive a process that is killed: an interrupted engine still saves its state. They are known to be gone only
    to the same user, or to root: the environments of other users' processes cannot be read.
    """
    if process.machine != _machine():
        return Sighting(process=Liveness.UNKNOWN, tools=Liveness.UNKNOWN)
    # The process first: while it lives it may start another tool.
    alive = liveness(process)
    found, is_hidden = _tools(process)
    if not found:  # What was forked during that look, by a process that has ended since, is seen by another one.
        found, is_hidden = _tools(process)
    if found:
        return Sighting(process=alive, tools=Liveness.ALIVE, tool_pids=tuple(sorted(found)))
    return Sighting(process=alive, tools=Liveness.UNKNOWN if is_hidden else Liveness.DEAD)


def _tools(process: ProcessIdentity) -> tuple[set[int], bool]:
    """Processes with its mark, and whether one may be hidden. The environment of a zombie is empty."""
    wanted = f"{OWNER_VARIABLE}={owner_mark(process)}".encode()
    found: set[int] = set()
    is_hidden = process.user_id is None or os.geteuid() not in (0, process.user_id)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
            except PermissionError:
                is_hidden = is_hidden or _may_be_started_by(process, entry)
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found, is_hidden


def _may_be_started_by(process: ProcessIdentity, entry: Path) -> bool:
    """Whether an unreadable process is of its user and not older: root cannot read those with more capabilities."""
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
