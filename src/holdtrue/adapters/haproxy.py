"""HAProxy as a traffic switch, through its admin socket.

Commands and their texts: HAProxy management guide 2.6, section 9.3 (`show servers state`, `set server`). A command on a
connection of its own; the end of the reply is the end of the connection; success is an empty reply.
State set here is lost when HAProxy reloads without a state file.
"""

import errno
import re
import socket
import stat
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from holdtrue.errors import (
    AccessDenied,
    HoldtrueError,
    RejectedError,
    ResourceMissing,
    ServiceUnreachable,
)

_TIMEOUT_SECONDS: Final = 5.0
_REPLY_LIMIT_BYTES: Final = 4 << 20
_HIGHEST_WEIGHT: Final = 256
_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]+")


class HaproxySwitch:
    """A `TrafficSwitch` over the servers of one backend.

    Weights are HAProxy's own, 0 to 256. Needs `stats socket PATH level admin`.
    """

    def __init__(self, *, socket: Path, backend: str, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._socket = socket
        self._backend = backend
        self._timeout_seconds = timeout_seconds

    def weights(self) -> dict[str, int]:
        """Weight of each server of the backend, as set by its operator; a server in maintenance keeps its weight.

        Raises:
            ResourceMissing: no such socket or backend.
            ServiceUnreachable: HAProxy does not answer, or not with a server list.
            AccessDenied: the socket may not be opened.
        """
        if not _NAME.fullmatch(self._backend):
            raise RejectedError(f"{self._backend!r} is not a backend name", where=self._place)
        reply = self._ask(f"show servers state {self._backend}")
        if reply.startswith("Can't find backend"):
            raise ResourceMissing(
                f"HAProxy has no backend {self._backend}",
                where=self._place,
                next_step="name a backend of its configuration in traffic.backend",
            )
        return self._parse(reply)

    def set_weights(self, weights: Mapping[str, int]) -> None:
        """Set the given servers' weights and read them back; after an error the old weights are in place again.

        Raises:
            ResourceMissing: a server is not in the backend; nothing was changed.
            RejectedError: a weight is out of range (nothing was changed), or HAProxy refused or dropped one.
            ServiceUnreachable, AccessDenied: as for `weights`.
        """
        before = self.weights()
        self._check(weights, known=before)
        try:
            for server, weight in weights.items():
                self._set(server, weight)
            self._compare(weights)
        except BaseException as error:
            # Termination too: half a step would send traffic where nobody decided it should go.
            self._restore(before, weights, after=error)
            raise

    def _check(self, weights: Mapping[str, int], *, known: Mapping[str, int]) -> None:
        for server, weight in weights.items():
            if server not in known:
                raise ResourceMissing(
                    f"backend {self._backend} has no server {server!r}",
                    where=self._place,
                    next_step=f"its servers are: {', '.join(known) or 'none'}",
                )
            if not 0 <= weight <= _HIGHEST_WEIGHT:
                raise RejectedError(f"weight {weight} of server {server} is not in 0..256", where=self._place)

    def _set(self, server: str, weight: int) -> None:
        reply = self._ask(f"set server {self._backend}/{server} weight {weight}").strip()
        if not reply:
            return
        if reply.startswith("Permission denied"):
            raise AccessDenied(
                "HAProxy's socket does not allow changes", where=self._place, next_step="give it `level admin`"
            )
        if reply.startswith(("No such server", "No such backend")):
            raise ResourceMissing(f"server {self._backend}/{server} is gone", where=self._place)
        raise RejectedError(f"HAProxy refused weight {weight} for {server}: {reply[:200]}", where=self._place)

    def _compare(self, wanted: Mapping[str, int]) -> None:
        actual = self.weights()
        for server, weight in wanted.items():
            if actual.get(server) != weight:
                raise RejectedError(
                    f"weight of {server} is {actual.get(server)} right after it was set to {weight}",
                    where=self._place,
                    next_step="find out what else sets weights on this HAProxy",
                )

    def _restore(self, before: Mapping[str, int], touched: Iterable[str], *, after: BaseException) -> None:
        try:
            actual = self.weights()
            for server in touched:
                if actual.get(server) != before[server]:
                    self._set(server, before[server])
        except HoldtrueError as error:
            after.add_note(f"not every weight found before could be put back: {error}")

    def _parse(self, reply: str) -> dict[str, int]:
        """`show servers state`: a version line, a `#` line that names the columns, one line a server."""
        lines = reply.splitlines()
        header = next((line.removeprefix("#").split() for line in lines if line.startswith("#")), [])
        if "srv_name" not in header or "srv_uweight" not in header:
            raise ServiceUnreachable(
                f"no server list came from the socket, but {reply[:80]!r}",
                where=self._place,
                next_step="check that HAProxy listens there",
            )
        name, weight = header.index("srv_name"), header.index("srv_uweight")
        rows = [line.split() for line in lines[1:] if line and not line.startswith("#")]
        return {row[name]: int(row[weight]) for row in rows}

    @property
    def _place(self) -> str:
        return f"{self._socket} backend {self._backend}"

    def _ask(self, command: str) -> str:
        deadline = time.monotonic() + self._timeout_seconds
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(self._timeout_seconds)
                connection.connect(str(self._socket))
                connection.sendall(f"{command}\n".encode())
                return _read(connection, deadline)
        except OSError as error:
            raise self._as_typed(error) from error

    def _as_typed(self, error: OSError) -> HoldtrueError:
        try:
            is_socket = stat.S_ISSOCK(self._socket.stat().st_mode)
        except OSError:
            is_socket = True
        advice = "check traffic.socket and that HAProxy runs with `stats socket PATH level admin`"
        match error:
            case FileNotFoundError() | NotADirectoryError():
                return ResourceMissing("HAProxy's admin socket is not there", where=self._place, next_step=advice)
            case PermissionError():
                return AccessDenied(
                    "HAProxy's admin socket may not be opened by this user",
                    where=self._place,
                    next_step="set user, group or mode on `stats socket`",
                )
            case _ if not is_socket:
                return ResourceMissing("This is not a socket", where=self._place, next_step=advice)
            case TimeoutError():
                return ServiceUnreachable(
                    f"HAProxy did not answer within {self._timeout_seconds:g} s", where=self._place, next_step=advice
                )
            case _ if error.errno is None or error.errno == errno.ENAMETOOLONG:
                return RejectedError("The socket's path is too long", where=self._place, next_step="keep it below 108")
            case _:
                return ServiceUnreachable(
                    f"HAProxy does not answer: {error.strerror}", where=self._place, next_step=advice
                )


def _read(connection: socket.socket, deadline: float) -> str:
    """The whole reply.

    Raises:
        TimeoutError: it is not complete at the deadline, or larger than any answer of HAProxy's.
    """
    reply = bytearray()
    while len(reply) < _REPLY_LIMIT_BYTES:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            break
        connection.settimeout(remaining)
        chunk = connection.recv(1 << 16)
        if not chunk:
            return reply.decode(errors="replace")
        reply += chunk
    raise TimeoutError
