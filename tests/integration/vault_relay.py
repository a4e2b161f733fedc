"""What stands before a Vault: passes requests on, but loses or replaces the answers to some of them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

SECONDS = 10


class Fault(StrEnum):
    """What becomes of a request to a path."""

    LOSE = "lose"
    """Vault gets it, and its answer never arrives."""
    NOT_FOUND = "not-found"
    """Vault does not get it; the answer is 404, as a gateway without a route gives it."""


@dataclass
class Relay:
    """Where it listens, and its faults by API path."""

    address: str
    faults: dict[str, Fault] = field(default_factory=dict)


@contextmanager
def vault_relay(target: str, ca_file: Path) -> Iterator[Relay]:
    """A relay in front of the Vault at `target`, by plain HTTP."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _relay(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fault = relay.faults.get(self.path.removeprefix("/v1/"))
            if fault is Fault.NOT_FOUND:
                self._answer(404, b'{"message": "no Route matched with those values"}')
                return
            headers = {name: value for name, value in self.headers.items() if name.startswith("X-Vault")}
            answer = requests.request(
                self.command, target + self.path, headers=headers, data=body, verify=str(ca_file), timeout=SECONDS
            )
            if fault is Fault.LOSE:
                over.wait(SECONDS)
                self.close_connection = True
                return
            self._answer(answer.status_code, answer.content)

        do_GET = do_POST = do_PUT = _relay  # noqa: N815 - the base class looks for these names

        def _answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    relay = Relay(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield relay
    finally:
        over.set()
        server.shutdown()
        thread.join(SECONDS)
        server.server_close()
