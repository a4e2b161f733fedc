"""The traffic switch on a real HAProxy."""

import collections
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from holdtrue.adapters.haproxy import HaproxySwitch
from holdtrue.errors import AccessDenied, HoldtrueError, RejectedError, ResourceMissing, ServiceUnreachable
from holdtrue.runtime.folder import private_folder

_CONFIGURATION = """
global
  stats socket {folder}/admin mode 600 level admin
  stats socket {folder}/operator mode 600 level operator
  stats socket {folder}/reader mode 600 level user
defaults
  mode http
  timeout connect 1s
  timeout client 2s
  timeout server 2s
frontend public
  bind 127.0.0.1:{port}
  default_backend web
backend web
  balance roundrobin
  server blue 127.0.0.1:{blue} weight 100
  server green 127.0.0.1:{green} weight 0
backend fixed
  balance source
  hash-type map-based
  server blue 127.0.0.1:{blue}
backend consistent
  balance source
  hash-type consistent
  server blue 127.0.0.1:{blue}
backend turns
  balance static-rr
  server blue 127.0.0.1:{blue}
backend first
  balance first
  server blue 127.0.0.1:{blue}
backend least
  balance leastconn
  server blue 127.0.0.1:{blue}
backend mixed
  server blue 127.0.0.1:{blue}
  server spare 127.0.0.1:{green} backup
  server off 127.0.0.1:{green} check disabled
  server dead 127.0.0.1:{nobody} check inter 50ms rise 1 fall 1
  server follower 127.0.0.1:{green} track mixed/off
"""


@dataclass(frozen=True, slots=True)
class _Haproxy:
    folder: Path
    url: str
    process: subprocess.Popen[bytes]

    def switch(self, *, socket_name: str = "admin", backend: str = "web") -> HaproxySwitch:
        return HaproxySwitch(socket=self.folder / socket_name, backend=backend, timeout_seconds=2)

    def command(self, text: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(str(self.folder / "admin"))
            connection.sendall(f"{text}\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode().strip()

    def ask(self, count: int) -> collections.Counter[str]:
        return collections.Counter(httpx.get(self.url, trust_env=False).text for _ in range(count))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def pages() -> Iterator[dict[str, int]]:
    """Two web servers that answer with their own name."""
    servers: dict[str, ThreadingHTTPServer] = {}
    for name in ("blue", "green"):

        class Page(BaseHTTPRequestHandler):
            body = name.encode()

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(self.body)))
                self.end_headers()
                self.wfile.write(self.body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        servers[name] = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=servers[name].serve_forever, daemon=True).start()
    yield {name: server.server_port for name, server in servers.items()}
    for server in servers.values():
        server.shutdown()
        server.server_close()


@pytest.fixture
def haproxy(pages: dict[str, int]) -> Iterator[_Haproxy]:
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "install haproxy"
    with private_folder("ha") as folder:
        port = _free_port()
        configuration = folder / "haproxy.cfg"
        configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, nobody=_free_port(), **pages))
        process = subprocess.Popen([program, "-db", "-f", str(configuration)], stderr=subprocess.DEVNULL)
        try:
            _wait_for(folder / "admin", port)
            yield _Haproxy(folder, f"http://127.0.0.1:{port}/", process)
        finally:
            process.kill()
            process.wait(timeout=10)


def _wait_for(path: Path, port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if path.exists() and probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail("haproxy did not come up")


def test_traffic_follows_the_weights(haproxy: _Haproxy) -> None:
    switch = haproxy.switch()
    assert switch.weights() == {"blue": 100, "green": 0}
    assert haproxy.ask(10) == {"blue": 10}
    switch.set_weights({"blue": 90, "green": 10})
    assert haproxy.ask(100) == {"blue": 90, "green": 10}
    switch.set_weights({"blue": 0, "green": 256})
    assert haproxy.ask(10) == {"green": 10}
    assert switch.weights() == {"blue": 0, "green": 256}


@pytest.mark.parametrize(
    ("weights", "error"),
    [
        ({"blue": 1, "red": 1}, ResourceMissing),
        ({"blue": 1, "green": 257}, RejectedError),
        ({"blue": 1, "green": -1}, RejectedError),
    ],
)
def test_what_cannot_be_set_changes_nothing(
    haproxy: _Haproxy, weights: dict[str, int], error: type[HoldtrueError]
) -> None:
    with pytest.raises(error):
        haproxy.switch().set_weights(weights)
    assert haproxy.switch().weights() == {"blue": 100, "green": 0}


def test_an_unknown_backend_is_missing(haproxy: _Haproxy) -> None:
    with pytest.raises(ResourceMissing):
        haproxy.switch(backend="nowhere").weights()


def test_a_backend_that_takes_no_weights_refuses(haproxy: _Haproxy) -> None:
    with pytest.raises(RejectedError):
        haproxy.switch(backend="fixed").set_weights({"blue": 7})
    assert haproxy.switch(backend="fixed").weights() == {"blue": 1}


@pytest.mark.parametrize("backend", ["fixed", "turns", "first"])
def test_a_backend_whose_weights_do_not_count_is_known_before_any_is_set(haproxy: _Haproxy, backend: str) -> None:
    with pytest.raises(RejectedError) as raised:
        haproxy.switch(backend=backend).require_adjustable()
    assert raised.value.next_step


@pytest.mark.parametrize("backend", ["web", "consistent", "least"])
def test_a_backend_that_takes_weights_is_known_and_left_as_it_is(haproxy: _Haproxy, backend: str) -> None:
    before = haproxy.switch(backend=backend).weights()
    haproxy.switch(backend=backend).require_adjustable()
    assert haproxy.switch(backend=backend).weights() == before


@pytest.mark.parametrize("level", ["operator", "reader"])
def test_a_socket_that_cannot_set_weights_is_known_before_any_is_set(haproxy: _Haproxy, level: str) -> None:
    with pytest.raises(AccessDenied, match="level admin") as raised:
        haproxy.switch(socket_name=level).require_adjustable()
    assert "level admin" in raised.value.next_step


def test_servers_that_get_no_request_are_told_from_those_that_do(haproxy: _Haproxy) -> None:
    deadline = time.monotonic() + 5
    while "dead" not in (found := haproxy.switch(backend="mixed").out_of_service()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert {name: reason.by_operator for name, reason in found.items()} == {
        "spare": True, "off": True, "dead": False, "follower": True,
    }  # fmt: skip
    assert "server mixed/off state ready" in found["follower"].next_step


@pytest.mark.parametrize("state", ["maint", "drain"])
def test_a_server_out_of_service_gets_no_request_whatever_its_weight(haproxy: _Haproxy, state: str) -> None:
    switch = haproxy.switch()
    assert switch.out_of_service() == {}
    assert haproxy.command(f"set server web/green state {state}") == ""
    switch.set_weights({"blue": 100, "green": 100})
    assert haproxy.ask(10) == {"blue": 10}
    reason = switch.out_of_service()["green"]
    assert reason.by_operator
    (command,) = re.findall(
        rf"`echo '(.*)' \| socat stdio {re.escape(str(haproxy.folder / 'admin'))}`", reason.next_step
    )
    assert haproxy.command(command) == ""
    assert switch.out_of_service() == {}
    assert haproxy.ask(10) == {"blue": 5, "green": 5}


def test_a_socket_without_admin_level_denies(haproxy: _Haproxy) -> None:
    with pytest.raises(AccessDenied):
        haproxy.switch(socket_name="reader").set_weights({"green": 50})
    assert haproxy.switch().weights() == {"blue": 100, "green": 0}


def test_a_server_that_vanished_between_reading_and_setting_is_missing(haproxy: _Haproxy) -> None:
    with pytest.raises(ResourceMissing):
        haproxy.switch()._set("red", 1)
    with pytest.raises(RejectedError):
        haproxy.switch()._set("blue", 300)


def test_a_socket_that_is_gone_or_is_none_is_missing(haproxy: _Haproxy) -> None:
    for name in ("gone", "haproxy.cfg", "haproxy.cfg/below"):
        with pytest.raises(ResourceMissing):
            haproxy.switch(socket_name=name).weights()
    with pytest.raises(RejectedError):
        haproxy.switch(socket_name="x" * 200).weights()


def test_a_stopped_haproxy_is_unreachable(haproxy: _Haproxy) -> None:
    haproxy.process.kill()
    haproxy.process.wait(timeout=10)
    assert (haproxy.folder / "admin").exists(), "the socket file outlives the process"
    with pytest.raises(ServiceUnreachable):
        haproxy.switch().weights()


def test_a_frozen_haproxy_is_unreachable_in_time(haproxy: _Haproxy) -> None:
    haproxy.process.send_signal(signal.SIGSTOP)
    # Its threads go on for a moment on a busy machine, and may answer.
    os.waitid(os.P_PID, haproxy.process.pid, os.WSTOPPED)
    began = time.monotonic()
    with pytest.raises(ServiceUnreachable):
        haproxy.switch().set_weights({"green": 1})
    assert time.monotonic() - began < 5


def test_a_socket_of_another_user_is_denied(haproxy: _Haproxy) -> None:
    own = os.geteuid()
    (haproxy.folder / "admin").chmod(0)
    if own == 0:
        os.seteuid(65534)  # root may open every socket, nobody may not even see this one
    try:
        with pytest.raises(AccessDenied):
            haproxy.switch().weights()
    finally:
        os.seteuid(own)
