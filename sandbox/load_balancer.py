"""HAProxy in front of the hosts, and the standby page that has the traffic until a host gets some."""

import csv
import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType

from sandbox.daemon import Daemon, accepts_connections
from sandbox.errors import SandboxError
from sandbox.web import Answer, WebServer
from sandbox.workplace import Workplace

BACKEND = "web"
STANDBY = "standby"
FULL_WEIGHT = 100
START_SECONDS = 15.0
COMMAND_SECONDS = 5


@dataclass(frozen=True, slots=True)
class BackendServer:
    """A server of the backend, which need not listen yet."""

    name: str
    address: str
    port: int


class LoadBalancer:
    """HAProxy with one public frontend; `standby` starts with weight 100, every host with 0.

    Attributes:
        url: The public frontend.
        socket_path: HAProxy's Runtime API (unix socket, level admin).
    """

    def __init__(self, workplace: Workplace, hosts: Sequence[BackendServer]) -> None:
        self._workplace = workplace
        self._directory = workplace.directory / "lb"
        self._directory.mkdir()
        self._port = workplace.free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.socket_path = self._directory / "admin.sock"
        standby_port = workplace.free_port()
        self._standby = WebServer(standby_port, lambda _: Answer(HTTPStatus.OK, "text/plain", b"standby"))
        self._names = tuple(host.name for host in hosts)
        self._configuration = self._directory / "haproxy.cfg"
        self._configuration.write_text(
            _configuration(self.socket_path, self._port, BackendServer(STANDBY, "127.0.0.1", standby_port), hosts)
        )
        self._daemon = self._launch()

    def weights(self) -> Mapping[str, int]:
        """Return each server's current weight."""
        return MappingProxyType({row["svname"]: int(row["weight"]) for row in self._servers()})

    def statuses(self) -> Mapping[str, str]:
        """Return each server's state in HAProxy's words: `no check`, `DRAIN`, `MAINT`."""
        return MappingProxyType({row["svname"]: row["status"] for row in self._servers()})

    def command(self, text: str) -> str:
        """Send one command to the Runtime API and return its reply; a change that worked replies with nothing."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(COMMAND_SECONDS)
            connection.connect(str(self.socket_path))
            connection.sendall(f"{text}\n".encode())
            reply = b"".join(iter(lambda: connection.recv(65536), b""))
        return reply.decode().strip()

    def reset(self) -> None:
        """Start HAProxy if it was stopped, and give all traffic to the standby page."""
        self.start()
        for name in (STANDBY, *self._names):
            weight = FULL_WEIGHT if name == STANDBY else 0
            for change in ("state ready", f"weight {weight}"):
                if reply := self.command(f"set server {BACKEND}/{name} {change}"):
                    raise SandboxError(f"HAProxy refused to reset {BACKEND}/{name}: {reply}")

    def stop(self) -> None:
        """End HAProxy: connections are refused, and weights are lost."""
        self._daemon.stop()

    def start(self) -> None:
        """Start a stopped HAProxy with its first weights; harmless when it runs."""
        if not self._daemon.is_running():
            self._daemon = self._launch()

    def close(self) -> None:
        """Stop HAProxy and the standby page."""
        self.stop()
        self._standby.stop()

    def _launch(self) -> Daemon:
        program = shutil.which("haproxy", path=self._workplace.environment()["PATH"])
        if program is None:
            raise SandboxError("HAProxy is not installed: `apt-get install haproxy`, or start without load_balancer.")
        daemon = self._workplace.launch("load_balancer", [program, "-db", "-f", self._configuration])
        daemon.wait_ready(lambda: accepts_connections("127.0.0.1", self._port), START_SECONDS)
        return daemon

    def _servers(self) -> list[dict[str, str]]:
        table = csv.DictReader(self.command("show stat").removeprefix("# ").splitlines())
        return [row for row in table if row["pxname"] == BACKEND and row["svname"] != "BACKEND"]


def _configuration(socket_path: Path, port: int, standby: BackendServer, hosts: Sequence[BackendServer]) -> str:
    servers = [f"    server {standby.name} {standby.address}:{standby.port} weight {FULL_WEIGHT}"]
    servers += [f"    server {host.name} {host.address}:{host.port} weight 0" for host in hosts]
    lines = "\n".join(servers)
    # One thread: round robin is then exact, so that a test can count requests.
    return f"""global
    stats socket {socket_path} mode 600 level admin
    nbthread 1
    maxconn 500
defaults
    mode http
    timeout connect 500ms
    timeout client 5s
    timeout server 5s
    timeout queue 1s
frontend public
    bind 127.0.0.1:{port}
    default_backend {BACKEND}
backend {BACKEND}
    balance roundrobin
{lines}
"""
