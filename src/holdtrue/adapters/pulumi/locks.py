"""The engine's own locks of a stack, as its error message names them.

A backend that stores the state itself has a file for each lock, without expiry (pulumi pkg/backend/diy/lock.go). The
lock of an engine that was killed stops every later one.
"""

import re
import socket
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

_HEAD: Final = re.compile(r"the stack is currently locked by (\d+) lock\(s\)")
_LOCK: Final = re.compile(
    r"^\s*(?P<url>\S+): created by (?P<user>.*)@(?P<host>\S+) \(pid (?P<pid>\d+)\) at (?P<at>\S+)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class StackLock:
    """One lock."""

    url: str
    user: str
    host: str
    pid: int
    at: str

    def __str__(self) -> str:
        """Who holds the lock, on which host and since when."""
        return f"{self.user}@{self.host} (pid {self.pid}), since {self.at}"


def parse_locks(text: str) -> tuple[StackLock, ...]:
    """The locks that the engine names; empty if any of them cannot be parsed."""
    head = _HEAD.search(text)
    found = {
        match["url"]: StackLock(match["url"], match["user"], match["host"], int(match["pid"]), match["at"])
        for match in _LOCK.finditer(text)
    }
    return tuple(found.values()) if head and len(found) == int(head[1]) else ()


def all_left_by(locks: Collection[StackLock], dead_engines: Collection[int]) -> bool:
    """Whether there are locks, and all belong to engines of this machine's runs that have ended.

    No new lock can appear beside such a lock, because an engine that finds any lock gives up.
    """
    host = socket.gethostname()
    return bool(locks) and all(lock.host == host and lock.pid in dead_engines for lock in locks)


def remove_file(lock: StackLock) -> bool:
    """Remove the lock if it is a local file; return False otherwise."""
    parts = urlsplit(lock.url)
    if parts.scheme != "file":
        return False
    Path(url2pathname(parts.path)).unlink(missing_ok=True)
    return True
