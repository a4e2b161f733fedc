"""Finds errors in the logs of services, sets the expected ones aside, and says what to do about the others.

Every service writes to `log/NAME.log` of its sandbox. An entry is a line with what belongs to it: the lines of a
traceback, or all that follows up to the next line with a time. These entries are errors:

- any with a Python traceback,
- those of level ERROR or above, in the words of each service (ALERT of HAProxy, a panic of OpenBao),
- in the log of a worker, of what flow and task runs write: only tracebacks and crashes. A run may log an error as its
  result.

OpenSSH's server writes no levels to stderr, so its errors cannot be told from its other lines.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Final

EXCERPT_LINES: Final = 30

_TRACEBACK: Final = re.compile(r"Traceback \(most recent call last\)|^Exception ignored in")
_PREFECT_TIME: Final = r"\d\d:\d\d:\d\d\.\d{3} \| "
_TIME: Final = re.compile(rf"{_PREFECT_TIME}|\d{{4}}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\.")
_RUN: Final = re.compile(rf"{_PREFECT_TIME}\w+ +\| (?:Flow|Task) run '")
_CRASH: Final = re.compile(r"' - (?:Crash detected!|Finished in state Crashed\()")
_PANIC: Final = re.compile(r"(?:panic|fatal error): |\[signal SIG")
"""Go's runtime."""
_LEVEL: Final = re.compile(
    rf"{_PREFECT_TIME}(?:ERROR|CRITICAL) "  # Prefect
    r"|\S+Z \[(?:ERROR|FATAL)\]"  # OpenBao
    r"|\S+ \S+ \w+ \[\d+\] (?:ERROR|FATAL|PANIC): "  # PostgreSQL
    r"|\[ALERT\]"  # HAProxy
    r"|\[[\d :,-]+\] (?:ERROR|CRITICAL) in |(?:ERROR|CRITICAL):"  # Flask, and Python's default
)


@dataclass(frozen=True, slots=True)
class LoggedError:
    """An error in a service's log."""

    service: str
    path: Path
    line: int
    """The line that shows it, from 1: of its level, or the first of its traceback."""
    offset: int
    """Where that line begins in the file, in bytes."""
    text: str
    """The whole entry."""


@dataclass(frozen=True, slots=True)
class ExpectedError:
    """An error that a service logs in normal operation."""

    service: str
    """The service's name; `*` stands for any text, as in `worker-*`."""
    pattern: str
    """A regular expression that is searched for in the whole entry."""
    reason: str
    """When it occurs, and why nothing has to be done about it."""

    def names(self, service: str) -> bool:
        """Tell whether this expectation is for a service."""
        return fnmatchcase(service, self.service)

    def covers(self, error: LoggedError) -> bool:
        """Tell whether this is such an error."""
        return self.names(error.service) and re.search(self.pattern, error.text) is not None


EXPECTED: Final = (
    ExpectedError(
        service="openbao",
        pattern=r'core: (failed to unlock initialization lock|unlocking HA lock failed): error="cannot find peer"',
        reason="With durable storage OpenBao gives up leadership by handing it to another node, and there is only one.",
    ),
    ExpectedError(
        service="openbao",
        pattern=r'storage\.raft\.raft-net: failed to accept connection: error="Raft RPC layer closed"',
        reason="A server with durable storage says so when it is sealed or stopped, which only the sandbox does.",
    ),
    ExpectedError(
        service="postgres",
        pattern="FATAL:  the database system is starting up",
        reason="The sandbox asks a server that it has just started until it answers.",
    ),
    ExpectedError(
        service="postgres",
        pattern="FATAL:  terminating connection due to administrator command",
        reason="Tests of a database that goes away stop the server while clients are connected, and nobody else does.",
    ),
    ExpectedError(
        service="prefect",
        pattern=r"sqlite3\.OperationalError\)? ?:? ?database is locked",
        reason=(
            "SQLite has one writer at a time. On a busy machine a service of Prefect's server meets another one's "
            "transaction, logs it, and does its work in its next loop; its API answers 503 and is asked again."
        ),
    ),
)
"""What any session may have in its logs. An error that one test provokes is declared by that test."""


def errors_in(folder: Path) -> list[LoggedError]:
    """Return the errors in all logs of a folder, by service and line."""
    return [error for path in sorted(folder.glob("*.log")) for error in errors_of(path)]


def errors_of(path: Path) -> list[LoggedError]:
    """Return the errors in one log."""
    raw = path.read_bytes().splitlines(keepends=True)
    offsets = list(accumulate(map(len, raw), initial=0))
    lines = [line.decode(errors="replace") for line in raw]
    found = []
    for begin, end in pairwise([*_beginnings(lines), len(lines)]):
        shown = _shown_by(lines[begin:end])
        if shown is not None:
            at = begin + shown
            text = "".join(lines[begin:end]).rstrip()
            found.append(LoggedError(path.stem, path, line=at + 1, offset=offsets[at], text=text))
    return found


def without_expected(errors: Iterable[LoggedError], expected: Sequence[ExpectedError] = EXPECTED) -> list[LoggedError]:
    """Return the errors that none of the expected ones covers."""
    return [error for error in errors if not any(entry.covers(error) for entry in expected)]


def describe(error: LoggedError, during: str = "") -> str:
    """Say where an error is, what it says and what to do."""
    lines = error.text.splitlines()
    left_out = [f"... {len(lines) - EXCERPT_LINES} more lines"] if len(lines) > EXCERPT_LINES else []
    excerpt = "\n".join(f"    {line}" for line in [*lines[:EXCERPT_LINES], *left_out])
    while_what = f", written during {during}" if during else ""
    return f"{error.service} logged an error ({error.path}, line {error.line}{while_what}):\n{excerpt}"


def advice() -> str:
    """Say what to do about errors that nobody expected."""
    return (
        "Next: fix what caused them. If a service has to log one, say so with a reason: in EXPECTED of "
        "sandbox/service_logs.py, or, for one test, by the marker expected_service_errors."
    )


def _shown_by(entry: Sequence[str]) -> int | None:
    """Return which line of an entry shows that it is an error; None when it is not one."""
    first = entry[0]
    traceback = next((number for number, line in enumerate(entry) if _TRACEBACK.search(line)), None)
    has_error_level = (_LEVEL.match(first) or _PANIC.match(first)) is not None
    if _RUN.match(first) and traceback is None:
        return 0 if _CRASH.search(first) else None
    return 0 if has_error_level else traceback


def _beginnings(lines: Sequence[str]) -> list[int]:
    """Split a log into entries: by its times if it has any, else line by line with tracebacks kept whole."""
    has_times = any(_TIME.match(line) for line in lines)
    begins = list(map(_begins_timed, lines)) if has_times else _begins_untimed(lines)
    return [number for number, is_begin in enumerate(begins) if is_begin or number == 0]


def _begins_timed(line: str) -> bool:
    return _TIME.match(line) is not None or _PANIC.match(line) is not None


def _begins_untimed(lines: Sequence[str]) -> list[bool]:
    """A traceback goes on over indented lines to the line of its exception."""
    begins = []
    in_traceback = False
    for line in lines:
        is_indented = line[:1].isspace()
        begins.append(not (is_indented or in_traceback))
        in_traceback = _TRACEBACK.search(line) is not None or (in_traceback and is_indented)
    return begins
