"""The engine's own locks of a stack, as it names them when it meets one.

A backend that holds the state itself has a file for each lock, without expiry (pulumi pkg/backend/diy/lock.go): what
an engine that is killed leaves there stops every later one.
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
        """Who holds it, where and since when."""
        return f"{self.user}@{self.host} (pid {self.pid}), since {self.at}"


def parse_locks(text: str) -> tuple[StackLock, ...]:
    """The locks that the engine names; none unless all of them can be read."""
    head = _HEAD.search(text)
    found = {
        match["url"]: StackLock(match["url"], match["user"], match["host"], int(match["pid"]), match["at"])
        for match in _LOCK.finditer(text)
    }
    return tuple(found.values()) if head and len(found) == int(head[1]) else ()


def all_left_by(locks: Collection[StackLock], dead_engines: Collection[int]) -> bool:
    """Whether there are locks, and all are of engines that this machine's runs have started and that are gone.

    While such a lock is there nobody else can take one: an engine that finds any lock gives up.
    """
    host = socket.gethostname()
    return bool(locks) and all(lock.host == host and lock.pid in dead_engines for lock in locks)


def remove_file(lock: StackLock) -> bool:
    """Remove this very lock where it is a file here; False when it is elsewhere."""
    parts = urlsplit(lock.url)
    if parts.scheme != "file":
        return False
    Path(url2pathname(parts.path)).unlink(missing_ok=True)
    return True
