"""SSH hosts as the sandbox's users see them, whatever isolates them; and the rootless kind."""

import shutil
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

from sandbox.aws import RegisteredHost
from sandbox.daemon import Daemon
from sandbox.errors import SandboxError
from sandbox.guardian import POLL_SECONDS, FoundProcess, descendants, is_alive, marked_processes, send_signal
from sandbox.openbao import OpenBao
from sandbox.sshd import (
    HOST_VARIABLE,
    current_user,
    daemon_command,
    greets_as_ssh,
    require_privilege_separation_directory,
    unlocking,
    write_daemon_files,
)
from sandbox.workplace import Workplace

START_SECONDS = 20.0
END_SECONDS = 5.0


class SshHost(ABC):
    """A machine to configure: an SSH daemon that lets in the principal `deploy`, and a directory as its world.

    Attributes:
        name: `web-1`, `web-2`, ...; a principal of the host certificate.
        address: Where the daemon listens; the other principal.
        port: The daemon's port.
        user: The account to log in as.
        root: The world's directory, as a session sees it.
        world: The same directory, as this machine sees it.
        http_port: A port on `address` that is kept for the host's web server.
        python: The Python that tools find in the host.
        host_ca_line: The known_hosts line that verifies the host's certificate.
    """

    name: str
    address: str
    port: int
    user: str
    root: Path
    http_port: int
    python: str
    host_ca_line: str

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self._daemon: Daemon | None = None

    @property
    @abstractmethod
    def world(self) -> Path:
        """The world's directory, as this machine sees it."""

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the command that runs the SSH daemon."""

    @abstractmethod
    def _holds(self, found: FoundProcess) -> bool:
        """Tell whether a process of the sandbox runs in this host."""

    def registration(self) -> RegisteredHost:
        """Return the host's entry in the machine registry."""
        return RegisteredHost(
            self.name, self.address, self.port, self.user, self.http_port, str(self.root), self.python
        )

    def processes(self) -> tuple[FoundProcess, ...]:
        """Return what runs in the host, by this machine's process id; its SSH daemon and sessions are left out."""
        held = (found for found in self._sandbox_processes() if not _is_sshd(found) and self._holds(found))
        return tuple(sorted(held, key=lambda found: found.pid))

    def start(self) -> None:
        """Start the SSH daemon; harmless when it runs."""
        if self._daemon is None or not self._daemon.is_running():
            self._daemon = self._workplace.launch(self.name, self._command())
            self._daemon.wait_ready(lambda: greets_as_ssh(self.address, self.port), START_SECONDS)

    def stop(self) -> None:
        """End the SSH daemon and its sessions: the host is unreachable, and what runs in it goes on."""
        if self._daemon is None:
            return
        sessions = [found for found in descendants(self._daemon.pid, self._sandbox_processes()) if _is_sshd(found)]
        self._daemon.stop()
        _end(sessions)

    def pause(self) -> None:
        """Make the daemon hang: connections are accepted and never greeted."""
        if self._daemon is not None:
            self._daemon.pause()

    def resume(self) -> None:
        """Let a paused daemon answer again."""
        if self._daemon is not None:
            self._daemon.resume()

    def wipe(self) -> None:
        """End what runs in the host and empty its world.

        Raises:
            SandboxError: A process would not end.
        """
        if survivors := _end(self.processes()):
            raise SandboxError(f"{self.name} still runs {survivors}; nothing was wiped.")
        for entry in self.world.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def _sandbox_processes(self) -> frozenset[FoundProcess]:
        return marked_processes(self._workplace.marker, self._workplace.directory)


class RootlessHost(SshHost):
    """An SSH daemon of the current user on the loopback address."""

    def __init__(self, workplace: Workplace, vault: OpenBao, number: int) -> None:
        super().__init__(workplace)
        self.name = f"web-{number}"
        self.address = "127.0.0.1"
        self.port = workplace.free_port()
        self.http_port = workplace.free_port()
        self.user = current_user()
        self.python = sys.executable
        self.host_ca_line = f"@cert-authority * {vault.host_ca}"
        directory = workplace.directory / "hosts" / self.name
        self.root = directory / "root"
        home = directory / "home"
        for folder in (self.root, home):
            folder.mkdir(parents=True)
        etc = directory / "ssh"
        self._files = write_daemon_files(
            workplace,
            vault,
            name=self.name,
            address=self.address,
            port=self.port,
            directory=etc,
            seen_as=etc,
            root=self.root,
            home=home,
        )
        require_privilege_separation_directory()
        self.start()

    @property
    def world(self) -> Path:
        """The world's directory."""
        return self.root

    def _command(self) -> list[str]:
        command = daemon_command(self._files.configuration, self._workplace)
        return [*unlocking(command, self._files.directory)]

    def _holds(self, found: FoundProcess) -> bool:
        return found.environment.get(HOST_VARIABLE) == self.name


def _is_sshd(found: FoundProcess) -> bool:
    return found.name.startswith("sshd")


def _end(processes: Iterable[FoundProcess]) -> list[int]:
    """Kill processes and return the ids of those still there after a while."""
    left = list(processes)
    send_signal(left, signal.SIGKILL)
    deadline = time.monotonic() + END_SECONDS
    while (left := [found for found in left if is_alive(found)]) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return [found.pid for found in left]
