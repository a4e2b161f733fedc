"""HAProxy as a traffic switch, through its admin socket.

Commands and replies: HAProxy management guide 2.6, section 9.3 (`show servers state`, `show stat`, `set server`). Each
command has its own connection, which HAProxy closes after the reply. An empty line alone means success. A list ends
with an empty line (measured with 2.6; some refusals do not): without it, the list is cut short and says nothing.
State set here is lost when HAProxy reloads without a state file.
"""

import csv
import errno
import re
import socket
import stat
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from holdtrue.adapters.haproxy.states import reason_out_of_service
from holdtrue.errors import (
    AccessDenied,
    HoldtrueError,
    RejectedError,
    ResourceMissing,
    ServiceUnreachable,
)
from holdtrue.models.traffic import OutOfService

_TIMEOUT_SECONDS: Final = 5.0
_REPLY_LIMIT_BYTES: Final = 4 << 20
_HIGHEST_WEIGHT: Final = 256
_DYNAMIC: Final = ("roundrobin", "leastconn", "random")
"""Algorithms whose weights can be changed at run time (configuration manual, `balance`)."""
_FIXED: Final = ("static-rr", "first")
"""Algorithms whose weights cannot be changed at run time: static-rr has fixed weights, `first` ignores them."""
_NUMBERS: Final = ("srv_uweight", "srv_op_state", "srv_admin_state")
"""Columns of `show servers state` that are used; each is to the right of `srv_name`."""
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
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
        return {row["srv_name"]: int(row["srv_uweight"]) for row in self._servers()}

    def out_of_service(self) -> dict[str, OutOfService]:
        """Servers of the backend that get no requests, whatever their weight.

        Raises:
            ResourceMissing, ServiceUnreachable, AccessDenied: as for `weights`.
        """
        servers = self._servers()
        statistics = {row["svname"]: row for row in self._statistics()}
        found = {}
        for row in servers:
            counted = statistics.get(row["srv_name"], {})
            found[row["srv_name"]] = reason_out_of_service(
                row,
                self._backend,
                socket=self._socket,
                tracked=counted.get("tracked", ""),
                is_backup=counted.get("bck") == "1",
            )
        return {name: reason for name, reason in found.items() if reason is not None}

    def require_adjustable(self) -> None:
        """Check that weights can be set through this socket and for this backend, without setting any.

        Raises:
            AccessDenied: the socket does not have `level admin`.
            RejectedError: the weights of the backend's algorithm cannot be changed at run time.
            ResourceMissing, ServiceUnreachable: as for `weights`.
        """
        level = self._ask_for_list("show cli level").strip()
        if level in {"user", "operator"}:
            raise AccessDenied(
                f"HAProxy's socket has `level {level}`, which may not set weights",
                where=self._place,
                next_step=self._become_admin,
            )
        servers = self._servers()
        algorithm = next((row.get("algo", "") for row in self._statistics() if row["svname"] == "BACKEND"), "")
        if algorithm in _DYNAMIC:
            return
        if algorithm in _FIXED or (servers and self._is_static(servers[0]["srv_name"])):
            raise RejectedError(
                f"backend {self._backend} has `balance {algorithm}`, whose weights cannot be changed at run time",
                where=self._place,
                next_step=f"in haproxy.cfg, give backend {self._backend} `balance roundrobin` or `balance leastconn`,"
                " or add `hash-type consistent` to a hash; then reload HAProxy",
            )

    def _is_static(self, server: str) -> bool:
        """Whether the algorithm is static. For a hash, `hash-type` decides that, which `show stat` does not report.

        HAProxy checks the algorithm before the rest of `add server`. The command never succeeds: the name is taken and
        the address is missing (management guide, `add server`; server.c, cli_parse_add_server). HAProxy logs it as an
        alert.
        """
        return "dynamic load balancing" in self._ask(f"add server {self._backend}/{server}")

    def _servers(self) -> list[dict[str, str]]:
        if not _NAME.fullmatch(self._backend):
            raise RejectedError(
                f"{self._backend!r} is not a backend name",
                where=self._place,
                next_step="set `traffic.backend` to the name of a backend in haproxy.cfg (letters, digits, `_.:-`)",
            )
        reply = self._ask_for_list(f"show servers state {self._backend}")
        if reply.startswith("Can't find backend"):
            raise ResourceMissing(
                f"HAProxy has no backend {self._backend}",
                where=self._place,
                next_step="set `traffic.backend` to the name of a backend in haproxy.cfg",
            )
        return self._parse(reply)

    def _statistics(self) -> list[dict[str, str]]:
        """A row for each server of the backend, and one with the name BACKEND."""
        reply = self._ask_for_list(f"show stat {self._backend} -1 -1")
        try:
            rows = list(csv.DictReader(reply.removeprefix("# ").splitlines()))
        except csv.Error as error:
            raise self._not_haproxy(reply) from error
        if not rows or "svname" not in rows[0]:
            raise self._not_haproxy(reply)
        return rows

    def set_weights(self, weights: Mapping[str, int]) -> None:
        """Set the given servers' weights and read them back; after an error the old weights are restored.

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
            # Termination too: half a step would give shares of traffic that no step planned.
            self._restore(before, weights, after=error)
            raise

    def _check(self, weights: Mapping[str, int], *, known: Mapping[str, int]) -> None:
        for server, weight in weights.items():
            if server not in known:
                raise ResourceMissing(
                    f"backend {self._backend} has no server {server!r}",
                    where=self._place,
                    next_step="rename the servers of that backend in haproxy.cfg so that they match the stack's host"
                    f" names; it has {', '.join(known) or 'none'}",
                )
            if not 0 <= weight <= _HIGHEST_WEIGHT:
                raise RejectedError(
                    f"weight {weight} of server {server} is not between 0 and {_HIGHEST_WEIGHT}",
                    where=self._place,
                    next_step=f"use a weight between 0 and {_HIGHEST_WEIGHT}",
                )

    def _set(self, server: str, weight: int) -> None:
        reply = self._ask(f"set server {self._backend}/{server} weight {weight}").strip()
        if not reply:
            return
        if reply.startswith("Permission denied"):
            raise AccessDenied(
                "HAProxy's socket does not allow changes", where=self._place, next_step=self._become_admin
            )
        if reply.startswith(("No such server", "No such backend")):
            raise ResourceMissing(
                f"server {self._backend}/{server} no longer exists",
                where=self._place,
                next_step="find out who removed it, add it again, then run again",
            )
        raise RejectedError(
            f"HAProxy refused weight {weight} for {server}: {reply[:200]}",
            where=self._place,
            next_step="correct haproxy.cfg as the reply says, reload HAProxy, then run again",
        )

    def _compare(self, wanted: Mapping[str, int]) -> None:
        actual = self.weights()
        for server, weight in wanted.items():
            if actual.get(server) != weight:
                raise RejectedError(
                    f"HAProxy reports weight {actual.get(server)} for {server} directly after {weight} was set",
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
            after.add_note(f"some original weights could not be restored: {error}")

    def _parse(self, reply: str) -> list[dict[str, str]]:
        """`show servers state`: a version line, a `#` line that names the columns, one line a server."""
        lines = reply.splitlines()
        header = next((line.removeprefix("#").split() for line in lines if line.startswith("#")), [])
        if not {"srv_name", *_NUMBERS} <= set(header):
            raise self._not_haproxy(reply)
        rows = [
            dict(zip(header, line.split(), strict=False)) for line in lines[1:] if line and not line.startswith("#")
        ]
        if not all(_NUMBER.fullmatch(row.get(column, "")) for row in rows for column in _NUMBERS):
            raise self._not_haproxy(reply)
        return rows

    def _not_haproxy(self, reply: str) -> ServiceUnreachable:
        return ServiceUnreachable(
            f"the socket did not answer like HAProxy: {reply[:80]!r}",
            where=self._place,
            next_step="set `traffic.socket` to the path of `stats socket` in haproxy.cfg",
        )

    @property
    def _become_admin(self) -> str:
        return f"in haproxy.cfg, set `stats socket {self._socket} level admin`, then reload HAProxy"

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
                reply = _read(connection, deadline)
        except OSError as error:
            raise self._as_typed(error) from error
        if not reply:
            raise self._incomplete(command)
        return reply

    def _ask_for_list(self, command: str) -> str:
        reply = self._ask(command)
        if not reply.endswith("\n\n"):
            raise self._incomplete(command)
        return reply

    def _incomplete(self, command: str) -> ServiceUnreachable:
        return ServiceUnreachable(
            f"HAProxy's reply to `{command}` is incomplete",
            where=self._place,
            next_step="check whether HAProxy was stopped or restarted meanwhile, and that `traffic.socket` is its own"
            " `stats socket`; then run again",
        )

    def _as_typed(self, error: OSError) -> HoldtrueError:
        try:
            is_socket = stat.S_ISSOCK(self._socket.stat().st_mode)
        except OSError:
            is_socket = True
        advice = "check `traffic.socket`, and that HAProxy runs with `stats socket PATH level admin` for this path"
        match error:
            case FileNotFoundError() | NotADirectoryError():
                return ResourceMissing("HAProxy's admin socket does not exist", where=self._place, next_step=advice)
            case PermissionError():
                return AccessDenied(
                    "this user may not open HAProxy's admin socket",
                    where=self._place,
                    next_step="in haproxy.cfg, set `user`, `group` or `mode` of `stats socket`, then reload HAProxy",
                )
            case _ if not is_socket:
                return ResourceMissing("this is not a socket", where=self._place, next_step=advice)
            case TimeoutError():
                return ServiceUnreachable(
                    f"HAProxy did not answer within {self._timeout_seconds:g} s", where=self._place, next_step=advice
                )
            case _ if error.errno is None or error.errno == errno.ENAMETOOLONG:
                return RejectedError(
                    "the socket's path is too long",
                    where=self._place,
                    next_step="use a path of at most 107 bytes for `stats socket` in haproxy.cfg and `traffic.socket`",
                )
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
