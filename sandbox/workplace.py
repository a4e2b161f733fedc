"""Where a sandbox's processes live: marker, folders, ports, environment, and the guardian that outlives the owner."""

import os
import secrets
import select
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox import guardian
from sandbox.daemon import Daemon
from sandbox.errors import SandboxError

# Settings of the caller that would point a service, a tool or a worker somewhere else than into the sandbox.
FOREIGN_PREFIXES = ("AWS_", "BAO_", "HOLDTRUE_", "OTEL_", "PREFECT_", "PULUMI_", "PYTEST_", "VAULT_")
FOREIGN_NAMES = frozenset({"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "SSH_AUTH_SOCK"})
# Below Linux's default range for outgoing connections (32768-60999), one of which could take a chosen port.
FIRST_PORT, LAST_PORT = 20_000, 32_000
GUARDIAN_START_SECONDS = 20.0
GUARDIAN_SWEEP_SECONDS = 20.0


class Workplace:
    """One directory (mode 0700), one marker, and the processes started with it."""

    def __init__(self) -> None:
        self.marker = str(uuid.uuid4())
        self._lock = threading.Lock()
        self._reserved: list[socket.socket] = []
        self._daemons: list[Daemon] = []
        self._closed = False
        # -P keeps sandbox/ itself off sys.path, where its modules would shadow installed ones.
        self._guardian = subprocess.Popen(
            [sys.executable, "-P", guardian.__file__, self.marker, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=_base_environment(),
            cwd="/",
        )
        self.directory = self._directory_made_by_guardian()
        self.log_directory = self.directory / "log"
        for folder in (self.log_directory, self.directory / "state", self.directory / "tmp"):
            folder.mkdir()

    def _directory_made_by_guardian(self) -> Path:
        stdout = self._guardian.stdout
        ready = select.select([stdout], [], [], GUARDIAN_START_SECONDS)[0] if stdout else []
        line = stdout.readline().decode().strip() if stdout and ready else ""
        if Path(line).is_absolute():
            return Path(line)
        self._guardian.kill()
        rest = self._guardian.communicate()[0].decode()
        raise SandboxError(f"The sandbox's guardian process did not start. It wrote:\n{line}\n{rest}")

    def environment(self) -> dict[str, str]:
        """Return the environment of every process here: the caller's without foreign settings, plus the marker."""
        inside = {
            guardian.MARKER_VARIABLE: self.marker,
            "TMPDIR": str(self.directory / "tmp"),
            "HOLDTRUE_PRIVATE_FOLDERS": str(guardian.private_folders(self.directory)),
        }
        return _base_environment() | inside

    def reserve(self, name: str) -> bool:
        """Take a name that no other sandbox on this machine has, until this one ends; tell whether it was free.

        The name is one of Linux's abstract unix sockets (unix(7)), which go with their process however it ends.
        """
        taken = socket.socket(socket.AF_UNIX)
        try:
            taken.bind(f"\0holdtrue-sandbox/{name}")
        except OSError:
            taken.close()
            return False
        self._reserved.append(taken)
        return True

    def free_port(self) -> int:
        """Return a loopback TCP port that nothing listens on. No other sandbox gets it, and this one gets it once."""
        for _ in range(1000):
            port = FIRST_PORT + secrets.randbelow(LAST_PORT - FIRST_PORT)
            if _can_bind(port) and self.reserve(f"port/{port}"):
                return port
        raise SandboxError(
            f"No free TCP port between {FIRST_PORT} and {LAST_PORT} on 127.0.0.1; end what listens there."
        )

    def launch(
        self, name: str, argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> Daemon:
        """Start a process that carries the marker, in its own session, with output to `log/NAME.log`.

        Raises:
            SandboxError: The sandbox is being stopped, or the program is not installed.
        """
        log = self.log_directory / f"{name}.log"
        with self._lock, log.open("ab") as output:
            if self._closed:
                raise SandboxError(f"{name} was not started: the sandbox is being stopped.")
            try:
                process = subprocess.Popen(
                    # An owner in the background hands down an ignored SIGINT; a Prefect worker then never stops.
                    ["env", "--default-signal=INT", *map(str, argv)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env=self.environment() | dict(env or {}),
                    cwd=cwd or self.directory,
                )
            except OSError as error:
                raise SandboxError(f"{name} cannot be started: {error}.") from error
            daemon = Daemon(name, process, log)
            self._daemons.append(daemon)
            return daemon

    def halt(self) -> None:
        """Refuse new processes and stop the running ones in reverse order; waits for their readiness end at once."""
        with self._lock:
            self._closed = True
            daemons = list(reversed(self._daemons))
            self._daemons.clear()
        for daemon in daemons:
            daemon.stop()

    def close(self) -> None:
        """Stop everything, remove the directory and end the guardian; harmless when done twice.

        Raises:
            SandboxError: Something could not be removed.
        """
        self.halt()
        while self._reserved:
            self._reserved.pop().close()
        if self._guardian.stdin and not self._guardian.stdin.closed:
            self._guardian.stdin.close()
        try:
            self._guardian.wait(GUARDIAN_SWEEP_SECONDS)
        except subprocess.TimeoutExpired:
            self._guardian.kill()
            self._guardian.wait()
        if self._guardian.stdout:
            self._guardian.stdout.close()
        # The guardian has swept, unless something killed it.
        left = guardian.sweep(self.marker, self.directory)
        if left:
            raise SandboxError(f"The sandbox left something behind; end it by hand: {', '.join(left)}.")


def _base_environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(FOREIGN_PREFIXES) and name not in FOREIGN_NAMES
    }
    programs = (str(Path(sys.executable).parent), kept.get("PATH", os.defpath), "/usr/sbin", "/sbin")
    loopback = "127.0.0.1,localhost,10.77.0.0/16"
    return kept | {"PATH": ":".join(programs), "NO_PROXY": loopback, "no_proxy": loopback, "PYTHONUNBUFFERED": "1"}


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
