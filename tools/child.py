"""Runs one child process that cannot outlive the call: own process group, deadline, descendants included."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_GRACE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class ChildResult:
    """How a child ended. `output` is stdout and stderr together, empty when the child had the terminal."""

    exit_code: int
    output: str
    timed_out: bool

    @property
    def succeeded(self) -> bool:
        """Tell whether the child ended by itself with exit code 0."""
        return self.exit_code == 0 and not self.timed_out

    def tail(self, lines: int = 12) -> str:
        """Give the last lines of the output, or say that the time was up."""
        text = "\n".join(self.output.strip().splitlines()[-lines:])
        return f"{text}\n(time is up)".strip() if self.timed_out else text


def run_child(
    argv: Sequence[str | Path],
    *,
    timeout_seconds: float,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    to_terminal: bool = False,
) -> ChildResult:
    """Run `argv` to its end or to the deadline, then end whatever is left of its process group.

    The output goes to a file, not a pipe: a descendant that keeps a pipe open would hold the reader for ever.

    Raises:
        OSError: the program cannot be started.
    """
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            [os.fspath(argument) for argument in argv],
            stdin=subprocess.DEVNULL,
            stdout=None if to_terminal else output,
            stderr=None if to_terminal else subprocess.STDOUT,
            cwd=cwd,
            env=environment,
            start_new_session=True,
        )
        timed_out = False
        try:
            child.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            _end_group(child)
        output.seek(0)
        return ChildResult(child.returncode, output.read().decode(errors="replace"), timed_out)


def _end_group(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
