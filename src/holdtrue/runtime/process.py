"""Run a tool as a child process that never outlives its caller, with an environment we chose.

Tools are started in a session of their own and carry a marker variable. Descendants are found by either: by the
session when they were given a clean environment (sudo, env -i), by the marker when they left the session (the workers
of ansible-core 2.19 call setsid, executor/process/worker.py).
Reading happens in the calling thread: Prefect raises its TerminationSignal in the main thread, which then interrupts
the read and unwinds through the clean-up below.
"""

import codecs
import os
import select
import selectors
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from holdtrue.core.redaction import StreamRedactor
from holdtrue.errors import ResourceMissing, ServiceUnreachable, ToolMissing
from holdtrue.runtime.liveness import OWNER_VARIABLE, current_process, owner_mark
from holdtrue.runtime.redaction import SECRETS, redact_text
from holdtrue.runtime.starting_environment import starting_environment
from holdtrue.runtime.tracing import trace_environment

_MARKER = "HOLDTRUE_TOOL"
_TAIL_LINES = 200
_LINE_LIMIT = 1 << 20
"""Characters."""
_CHUNK_BYTES = 1 << 16
_LATE_CHUNKS = 64
"""Of each stream, between two looks at a tool that is being ended: 4 MiB."""
_DRAIN_SECONDS = 0.25
"""A daemon that a tool left behind may hold its pipes open for ever: the tool's own end is what counts."""
_KILL_SECONDS = 5.0
_SHORTEST_PAUSE_SECONDS = 0.001
"""A tool has closed its pipes a moment before it has ended."""
_LONGEST_PAUSE_SECONDS = 0.05

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
    """The last lines of its standard error, without registered secrets."""


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

    That output is data, and handed on as it is: whoever shows a part of it redacts that part.
    A line of more than 1 Mi characters arrives in pieces. On timeout, on an exception from `on_line` and on termination
    of this process the whole tree gets SIGINT (the signal on which Pulumi saves its state and Ansible stops its hosts),
    `grace_seconds` to end, then SIGKILL. What it says in that time is handed on too, unless `on_line` has failed: it
    may finish work that a report has to name, and it must not hang on a full pipe. After a tool ended by itself, what
    it left running is ended as well.

    Raises:
        ToolMissing: the executable is not there or cannot be executed.
        ResourceMissing: `folder` is not a folder.
        ToolTimeout: it ran longer than `timeout_seconds`.
    """
    if not folder.is_dir():
        raise ResourceMissing("The working folder is not there", where=str(folder), next_step="restore the folder")
    tree = _Tree(marker=uuid.uuid4().hex)
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    output, errors = _Lines(on_line), _Lines(tail.append, SECRETS.stream())
    try:
        process = tree.start(arguments, environment, folder)
        deadline = time.monotonic() + timeout_seconds
        _converse(process, standard_input.encode(), output, errors, deadline=deadline)
        _wait_until(lambda: _has_ended(process), deadline - time.monotonic())
        if not _has_ended(process):
            raise ToolTimeout(
                f"{Path(arguments[0]).name} did not end within {timeout_seconds:g} s and was stopped",
                where=redact_text(" ".join(arguments[1:3])),
                next_step="look at what it waits for, or raise timeout_seconds",
            )
    finally:
        tree.end(grace_seconds, output, errors)
    return ToolRun(exit_code=process.returncode, error_tail="\n".join(tail))


class _Tree:
    """A tool and everything it starts."""

    def __init__(self, marker: str) -> None:
        self._marker = marker
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> subprocess.Popen[bytes]:
        try:
            with _interruptible():
                self._process = subprocess.Popen(
                    arguments,
                    cwd=folder,
                    env={**environment, _MARKER: self._marker, OWNER_VARIABLE: owner_mark(current_process())},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
        except OSError as error:
            raise ToolMissing(
                f"{arguments[0]} cannot be started: {error.strerror}",
                where=str(folder),
                next_step=f"install {arguments[0]} on the worker",
            ) from error
        return self._process

    def end(self, grace_seconds: float, output: "_Lines", errors: "_Lines") -> None:
        """Interrupt what is left, read on while it ends, kill, and close the pipes.

        A second termination shortens the wait only.
        """

        def ended() -> bool:
            self._read_on(output, errors)
            return not self._running()

        try:
            if left := self._running():
                # A tool that ended by itself had its time: what it left behind is not waited for as long.
                grace_seconds = grace_seconds if self._tool_runs() else min(grace_seconds, 1.0)
                signal_processes(left, signal.SIGINT)
                _wait_until(ended, grace_seconds)
                self._read_on(output, errors)
                for lines in (output, errors):
                    lines.flush_late()
        finally:
            self._kill()

    def _read_on(self, output: "_Lines", errors: "_Lines") -> None:
        """Hand on what is in the pipes now; of a flood, a bounded part."""
        if self._process is None or self._process.stdout is None or self._process.stderr is None:
            return
        lines = {self._process.stdout.fileno(): output, self._process.stderr.fileno(): errors}
        pipes = select.poll()
        for stream in lines:
            pipes.register(stream, select.POLLIN)
        for _ in range(_LATE_CHUNKS):
            ready = pipes.poll(0)
            for stream, _ in ready:
                if not lines[stream].take_late(os.read(stream, _CHUNK_BYTES)):
                    pipes.unregister(stream)
            if not ready:
                return

    def _kill(self) -> None:
        def dead() -> bool:
            # Anew each time: what was forked between a look and its signals is seen by the next look.
            signal_processes(left := self._running(), signal.SIGKILL)
            return not left

        _wait_until(dead, _KILL_SECONDS)
        if self._process is not None:
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()

    def _tool_runs(self) -> bool:
        return self._process is not None and not _has_ended(self._process)

    def _running(self) -> set[int]:
        found = find_marked(_MARKER, self._marker)
        if self._process is not None:
            found |= _find_session(self._process.pid)
        return found


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let a child started here take SIGINT, which a worker that a shell runs in the background (`&`) ignores.

    An ignored signal stays ignored in children; one with a handler is back to its default there (execve(2)).
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it ended, without reaping it: until then its number cannot become somebody else's process or session."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _wait_until(done: Callable[[], bool], limit_seconds: float) -> None:
    deadline, pause = time.monotonic() + limit_seconds, _SHORTEST_PAUSE_SECONDS
    while not done() and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _converse(
    process: subprocess.Popen[bytes],
    request: bytes,
    output: "_Lines",
    errors: "_Lines",
    *,
    deadline: float,
) -> None:
    """Write the request and read both streams line by line, until they close, the tool has ended or it is too late."""
    assert process.stdin is not None  # noqa: S101 - PIPE was asked for, three times
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    lines = {process.stdout.fileno(): output, process.stderr.fileno(): errors}
    unsent = memoryview(request)
    with selectors.DefaultSelector() as selector:
        for stream in lines:
            selector.register(stream, selectors.EVENT_READ)
        os.set_blocking(process.stdin.fileno(), False)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        drained_by = deadline
        while lines.keys() & selector.get_map().keys():
            now = time.monotonic()
            if now >= deadline:
                return  # In the middle of a line, perhaps: what follows is read while the tool is ended.
            if now >= drained_by:
                break
            if drained_by == deadline and _has_ended(process):
                drained_by = min(deadline, now + _DRAIN_SECONDS)
            for key, _ in selector.select(timeout=min(drained_by - now, 0.1)):
                if key.fileobj is process.stdin:
                    unsent = _send(process, selector, unsent)
                elif not lines[key.fd].take(os.read(key.fd, _CHUNK_BYTES)):
                    selector.unregister(key.fd)
        for rest in lines.values():
            rest.flush()


def _send(process: subprocess.Popen[bytes], selector: selectors.BaseSelector, unsent: memoryview) -> memoryview:
    """Write what the pipe takes; close it when all is written or the tool does not read any more."""
    assert process.stdin is not None  # noqa: S101 - PIPE was asked for
    try:
        unsent = unsent[os.write(process.stdin.fileno(), unsent[:_CHUNK_BYTES]) :]
    except BlockingIOError:
        return unsent
    except BrokenPipeError:
        unsent = unsent[:0]
    if not unsent:
        selector.unregister(process.stdin)
        process.stdin.close()
    return unsent


class _Lines:
    """Cuts one stream into lines, after redaction if it is to be redacted: a secret may be of several lines."""

    def __init__(self, emit: Callable[[str], None], redactor: StreamRedactor | None = None) -> None:
        self._emit = emit
        self._redactor = redactor
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._buffer = ""
        self._whole: deque[str] = deque()
        """Lines that are not handed on yet: a termination may come between two of one chunk."""
        self._has_failed = False

    def take(self, chunk: bytes) -> bool:
        """Pass on whole lines, and a beginning beyond the size limit; False at the end of the stream."""
        text = self._decoder.decode(chunk)
        self._pass_on(text if self._redactor is None else self._redactor.feed(text))
        if len(self._buffer) > _LINE_LIMIT:
            self._end_line()
        return bool(chunk)

    def take_late(self, chunk: bytes) -> bool:
        """The same while the tool is being ended for another reason, which a failure in here must not replace."""
        self._unless_failed(lambda: self.take(chunk))
        return bool(chunk)

    def flush_late(self) -> None:
        """Pass on the rest while the tool is being ended for another reason."""
        self._unless_failed(self.flush)

    def _unless_failed(self, act: Callable[[], object]) -> None:
        if not self._has_failed:
            with suppress(Exception):  # It is noted, and nothing more is passed on.
                act()

    def flush(self) -> None:
        """Pass on what was held back, and a last line without an end."""
        text = self._decoder.decode(b"", final=True)
        self._pass_on(text if self._redactor is None else self._redactor.feed(text) + self._redactor.flush())
        self._end_line()

    def _pass_on(self, text: str) -> None:
        *whole, self._buffer = (self._buffer + text).split("\n")
        self._whole.extend(whole)
        self._hand_on()

    def _end_line(self) -> None:
        rest, self._buffer = self._buffer, ""
        if rest:
            self._whole.append(rest)
            self._hand_on()

    def _hand_on(self) -> None:
        while self._whole:
            try:
                self._emit(self._whole.popleft().rstrip("\r"))
            except Exception:
                self._has_failed = True
                raise


def find_marked(name: str, value: str) -> set[int]:
    """Process ids, zombies aside, whose starting environment holds `name=value` (Linux /proc)."""
    wanted = f"{name}={value}".encode()
    found: set[int] = set()
    for pid in _process_ids():
        with suppress(OSError):
            if wanted in starting_environment(pid):
                found.add(pid)
    return found


def _find_session(session: int) -> set[int]:
    """Process ids, zombies aside, of one session: fields 3 and 6 of /proc/PID/stat (proc(5))."""
    found: set[int] = set()
    for pid in _process_ids():
        with suppress(OSError):
            # The name before them is in brackets and may hold anything, brackets and blanks too.
            state, _, _, member_of, *_ = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            if int(member_of) == session and state not in {b"Z", b"X"}:
                found.add(pid)
    return found


def _process_ids() -> list[int]:
    # A listing at once: a termination in the middle of an iterator would leave its descriptor open.
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def signal_processes(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each process that still exists."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
