"""A service process of the sandbox: waited for with a deadline, and stopped with its whole process group."""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from sandbox.errors import SandboxError

LOG_TAIL_LINES = 25
READY_POLL_SECONDS = 0.05
STOP_SECONDS = 5.0


class Daemon:
    """A running child process that leads its own process group."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @property
    def pid(self) -> int:
        """The process id, which is also its process group's."""
        return self._process.pid

    def is_running(self) -> bool:
        """Tell whether the process itself has not ended."""
        return self._process.poll() is None

    def log_tail(self) -> str:
        """Return the last lines the process wrote."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-LOG_TAIL_LINES:]) or "(the log is empty)"

    def wait_ready(self, is_ready: Callable[[], bool], deadline_seconds: float) -> None:
        """Wait until `is_ready` says so.

        Raises:
            SandboxError: The process ended first, or the deadline passed; the message ends with the log's tail.
        """
        deadline = time.monotonic() + deadline_seconds
        while not is_ready():
            if not self.is_running():
                raise SandboxError(
                    f"{self.name} ended with exit code {self._process.returncode} while starting. "
                    f"Its log ends:\n{self.log_tail()}"
                )
            if time.monotonic() > deadline:
                raise SandboxError(
                    f"{self.name} was not ready after {deadline_seconds:g} s. Its log ends:\n{self.log_tail()}"
                )
            time.sleep(READY_POLL_SECONDS)

    def pause(self) -> None:
        """Stop the process group's clock (SIGSTOP): connections are accepted by the kernel and never answered.

        Returns when it has stopped: threads on a busy machine go on for a moment, and may answer.
        """
        os.killpg(self.pid, signal.SIGSTOP)
        deadline = time.monotonic() + STOP_SECONDS
        while psutil.Process(self.pid).status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
            if time.monotonic() > deadline:
                raise SandboxError(f"{self.name} did not stop within {STOP_SECONDS:g} s of SIGSTOP.")
            time.sleep(READY_POLL_SECONDS)

    def resume(self) -> None:
        """Let a paused process group go on; harmless when it has ended."""
        self._signal_group(signal.SIGCONT)

    def stop(self, *, grace_seconds: float = 5.0) -> None:
        """Ask the process group to end, then kill what is left of it; harmless when it has ended."""
        self._signal_group(signal.SIGTERM)
        # A paused process cannot act on SIGTERM.
        self._signal_group(signal.SIGCONT)
        try:
            self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._signal_group(signal.SIGKILL)
        self._process.wait(grace_seconds)

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return


def accepts_connections(address: str, port: int) -> bool:
    """Tell whether something listens at a TCP address."""
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


def answers_ok(address: str, port: int, path: str) -> bool:
    """Tell whether a plain HTTP GET is answered with 200."""
    connection = http.client.HTTPConnection(address, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
