"""Run a tool as a child process that never outlives its caller, with an environment we chose.

Tools are started in a session of their own and carry a marker variable, so that descendants which leave the session
(ansible-core's workers call setsid, ansible-core 2.19 executor/process/worker.py) are found and ended as well.
Reading happens in the calling thread: Prefect raises its TerminationSignal in the main thread, which then interrupts
the read and unwinds through the clean-up below.
"""

import os
import selectors
import signal
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from holdtrue.errors import ServiceUnreachable, ToolMissing
from holdtrue.runtime.tracing import trace_environment

_MARKER = "HOLDTRUE_TOOL"
_TAIL_LINES = 200
_LINE_LIMIT_BYTES = 1 << 20

_PASSED_ON = (
    "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ToolRun:
    """How a tool ended."""

    exit_code: int
    error_tail: str
    """The last lines of its standard error."""


class ToolTimeout(ServiceUnreachable):
    """A tool ran longer than it may and was ended; whether it had done its work is unknown."""


def tool_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment a tool gets: locale, certificates and proxies, this Python's folder first on PATH, and `extra`.

    Everything else of ours stays out, above all the worker's own credentials (Vault secret id, Prefect API key).
    Names listed in HOLDTRUE_PASS_ENVIRONMENT (comma-separated) are passed on as well.
    """
    own = os.environ
    names = [*_PASSED_ON, *(name for name in own if name.startswith("LC_"))]
    names += [name.strip() for name in own.get("HOLDTRUE_PASS_ENVIRONMENT", "").split(",")]
    environment = {name: own[name] for name in names if name in own}
    search_path = own.get("PATH", os.defpath)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{search_path}"
    return environment | trace_environment() | dict(extra)


def run_tool(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    on_line: Callable[[str], None],
    timeout_seconds: float,
    grace_seconds: float = 20.0,
    standard_input: str = "",
) -> ToolRun:
    """Run `arguments` to its end and hand every line of its standard output to `on_line` as it comes.

    On timeout, on an exception from `on_line` and on termination of this process the whole tree gets SIGINT (the
    signal on which Pulumi saves its state and Ansible stops its hosts), `grace_seconds` to end, then SIGKILL.

    Raises:
        ToolMissing: the executable is not there.
        ToolTimeout: it ran longer than `timeout_seconds`.
    """
    marker = uuid.uuid4().hex
    try:
        process = subprocess.Popen(
            arguments,
            cwd=folder,
            env={**environment, _MARKER: marker},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise ToolMissing(
            f"{arguments[0]} is not installed", where=str(folder), next_step=f"install {arguments[0]} on the worker"
        ) from error
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    try:
        _feed(process, standard_input)
        finished = _read(process, on_line, tail.append, deadline=time.monotonic() + timeout_seconds)
        if not finished:
            raise ToolTimeout(
                f"{Path(arguments[0]).name} did not end within {timeout_seconds:g} s and was stopped",
                where=" ".join(arguments[1:3]),
                next_step="look at what it waits for, or raise timeout_seconds",
            )
        return ToolRun(exit_code=process.wait(), error_tail="\n".join(tail))
    finally:
        _end_tree(process, marker, grace_seconds)


def _feed(process: subprocess.Popen[bytes], text: str) -> None:
    """Write the request and close; requests are smaller than a pipe's buffer or the child reads at once."""
    assert process.stdin is not None  # noqa: S101 - PIPE was asked for
    with suppress(BrokenPipeError), process.stdin:
        process.stdin.write(text.encode())


def _read(
    process: subprocess.Popen[bytes],
    on_output: Callable[[str], None],
    on_error: Callable[[str], None],
    *,
    deadline: float,
) -> bool:
    """Read both streams line by line until they close; False when the deadline came first."""
    assert process.stdout is not None  # noqa: S101 - PIPE was asked for
    assert process.stderr is not None  # noqa: S101
    streams: dict[IO[bytes], tuple[bytearray, Callable[[str], None]]] = {
        process.stdout: (bytearray(), on_output),
        process.stderr: (bytearray(), on_error),
    }
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            # A daemon that a tool left behind may hold the pipes open for ever: the tool's own end is what counts.
            ready = selector.select(timeout=min(remaining, 0.5))
            if not ready and process.poll() is not None:
                break
            for key, _ in ready:
                stream = next(item for item in streams if item is key.fileobj)
                chunk = os.read(stream.fileno(), 1 << 16)
                if not chunk:
                    selector.unregister(stream)
                _emit(streams[stream], chunk)
    return True


def _emit(target: tuple[bytearray, Callable[[str], None]], chunk: bytes) -> None:
    """Pass on whole lines; at the end of the stream, and beyond the size limit, what is there."""
    buffer, emit = target
    buffer += chunk
    *lines, rest = buffer.split(b"\n")
    if not chunk or len(rest) > _LINE_LIMIT_BYTES:
        lines, rest = [*lines, rest] if rest else lines, bytearray()
    buffer[:] = rest
    for line in lines:
        emit(line.decode(errors="replace").rstrip("\r"))


def _end_tree(process: subprocess.Popen[bytes], marker: str, grace_seconds: float) -> None:
    """Interrupt what is left, wait, kill, and close the pipes."""
    if process.poll() is None or find_marked(_MARKER, marker):
        signal_processes({process.pid, *find_marked(_MARKER, marker)}, signal.SIGINT)
        deadline = time.monotonic() + (grace_seconds if process.poll() is None else 1.0)
        while time.monotonic() < deadline and (process.poll() is None or find_marked(_MARKER, marker)):
            time.sleep(0.05)
        signal_processes(find_marked(_MARKER, marker), signal.SIGKILL)
        if process.poll() is None:
            process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.close()


def find_marked(name: str, value: str) -> set[int]:
    """Process ids, zombies aside, whose starting environment holds `name=value` (Linux /proc)."""
    wanted = f"{name}={value}".encode()
    found: set[int] = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):
                if wanted in Path(entry.path, "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
    return found


def signal_processes(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each process that still exists."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
