"""What is left of a sandbox, and how it goes away.

Every process of a sandbox carries the environment variable `HOLDTRUE_SANDBOX=<marker>`, handed down to all its
descendants. This module finds them by it and ends them. It is used in two ways: imported by the owner, and as a script
(`python -P guardian.py MARKER OWNER_PID`) in a session of its own, where it outlives the owner and cleans up however
that ended. As a script it must start fast and alone, hence no import from `sandbox`.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

MARKER_VARIABLE = "HOLDTRUE_SANDBOX"
TERM_PATIENCE_SECONDS = 2.0
KILL_PATIENCE_SECONDS = 6.0
POLL_SECONDS = 0.05
# A unix socket's path is limited to 107 bytes (unix(7)); Ansible's and HAProxy's sockets lie below the directory.
LONGEST_PARENT = 40


@dataclass(frozen=True, slots=True)
class FoundProcess:
    """A process as it was when it was looked at; with its start time it is told from a later one of the same number."""

    pid: int
    started: float
    parent: int = field(compare=False)
    name: str = field(compare=False)
    command: tuple[str, ...] = field(compare=False)
    environment: Mapping[str, str] = field(compare=False, repr=False)


def marked_processes(marker: str, directory: Path) -> frozenset[FoundProcess]:
    """Return the live processes of a sandbox: marked ones, its SSH daemons, and the descendants of both.

    Args:
        marker: The value of `HOLDTRUE_SANDBOX`.
        directory: The sandbox's directory.
    """
    everything = {found.pid: found for found in _running_processes()}
    roots = {
        found.pid
        for found in everything.values()
        if found.environment.get(MARKER_VARIABLE) == marker or _is_ssh_daemon_of(found, directory)
    }
    return frozenset(
        found
        for found in everything.values()
        if found.pid in roots or any(ancestor in roots for ancestor in _ancestors(found.pid, everything))
    )


def descendants(pid: int, processes: Iterable[FoundProcess]) -> frozenset[FoundProcess]:
    """Return those of the given processes that a process started, directly or not."""
    everything = {found.pid: found for found in processes}
    return frozenset(found for found in everything.values() if pid in _ancestors(found.pid, everything))


def is_alive(found: FoundProcess) -> bool:
    """Tell whether a process still runs; one that only waits to be reaped does not."""
    try:
        process = psutil.Process(found.pid)
        return bool(process.create_time() == found.started and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def send_signal(processes: Iterable[FoundProcess], number: signal.Signals) -> None:
    """Signal those of the processes that still run."""
    for found in processes:
        if is_alive(found):
            try:
                os.kill(found.pid, number)
            except (ProcessLookupError, PermissionError):
                continue


def bridge_name(marker: str) -> str:
    """Return the name of the network bridge of a sandbox's isolated hosts (at most 15 characters, netdevice(7))."""
    return f"ht{marker.replace('-', '')[:10]}"


def private_folders(directory: Path) -> Path:
    """Return the folder in which a sandbox's runs make their private folders: in memory where the machine has it.

    Its path is short, because unix sockets lie below it, and nobody else's runs use it.
    """
    memory = Path("/dev/shm")  # noqa: S108 - the folder in it is 0700
    parent = memory if memory.is_dir() else Path("/tmp")  # noqa: S108 - the same
    return parent / f"{directory.name}-p"


def sweep(marker: str, directory: Path) -> tuple[str, ...]:
    """End every process of a sandbox, delete its bridge and its folders; a second call finds nothing to do.

    Returns:
        What could not be removed, one description each; empty when all is gone.
    """
    left = [f"process {found.pid} ({found.name})" for found in _end_processes(marker, directory)]
    bridge = Path("/sys/class/net", bridge_name(marker))
    if bridge.exists():
        subprocess.run(["ip", "link", "delete", bridge.name], check=False, capture_output=True, timeout=10)
    folders = (private_folders(directory), directory)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return tuple(left + [str(path) for path in (bridge, *folders) if path.exists()])


def _running_processes() -> Iterator[FoundProcess]:
    for process in psutil.process_iter():
        try:
            with process.oneshot():
                if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                yield FoundProcess(
                    pid=process.pid,
                    started=process.create_time(),
                    parent=process.ppid(),
                    name=process.name(),
                    command=tuple(process.cmdline()),
                    environment=process.environ(),
                )
        except psutil.Error:
            continue


def _is_ssh_daemon_of(found: FoundProcess, directory: Path) -> bool:
    """Tell whether an sshd belongs to a sandbox: its title overwrites its environment, so the marker cannot be read."""
    prefix = f"{directory}/"
    return found.name.startswith("sshd") and (
        any(prefix in word for word in found.command) or any(path.startswith(prefix) for path in _open_paths(found.pid))
    )


def _open_paths(pid: int) -> Iterator[str]:
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return
    for descriptor in descriptors:
        try:
            yield str(descriptor.readlink())
        except OSError:
            continue


def _ancestors(pid: int, everything: Mapping[int, FoundProcess]) -> Iterator[int]:
    seen = {pid}
    while (found := everything.get(pid)) and found.parent not in seen:
        pid = found.parent
        seen.add(pid)
        yield pid


def _end_processes(marker: str, directory: Path) -> frozenset[FoundProcess]:
    """Signal until nothing is left or the patience ends, and return what is left."""
    known = marked_processes(marker, directory)
    for number, patience_seconds in ((signal.SIGTERM, TERM_PATIENCE_SECONDS), (signal.SIGKILL, KILL_PATIENCE_SECONDS)):
        send_signal(known, number)
        deadline = time.monotonic() + patience_seconds
        while known and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            arrived = marked_processes(marker, directory) - known
            send_signal(arrived, number)
            # Known ones stay watched: a child without the marker loses its link to the sandbox when its parent ends.
            known = frozenset(found for found in known if is_alive(found)) | arrived
    return known


def _short_parent() -> str:
    preferred = tempfile.gettempdir()
    return preferred if len(preferred) <= LONGEST_PARENT else "/tmp"  # noqa: S108 - mkdtemp makes an own directory there


def _wait_for_owner(owner: int) -> None:
    """Return when the pipe on stdin closes or the owner process ends; a forked child may hold the pipe open longer."""
    poll = select.poll()
    poll.register(sys.stdin, select.POLLIN | select.POLLHUP)
    try:
        poll.register(os.pidfd_open(owner), select.POLLIN)
    except ProcessLookupError:
        return
    poll.poll()


def main() -> int:
    """Make the folders, print the directory's path, wait for the owner's end and sweep; 1 if something is left."""
    marker, owner = sys.argv[1], int(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    directory = Path(tempfile.mkdtemp(prefix="ht-", dir=_short_parent()))
    try:
        private_folders(directory).mkdir(mode=0o700)
        sys.stdout.write(f"{directory}\n")
        sys.stdout.flush()
        _wait_for_owner(owner)
    finally:
        left = sweep(marker, directory)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
