"""A small HTTP server in a thread of the owner, for the sandbox's own services."""

import http.server
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

REQUEST_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    content_encoding: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What it gets."""

    status: HTTPStatus
    content_type: str
    body: bytes


class WebServer:
    """Answers every request with `answer`, each in its own thread, from construction until `stop()`."""

    def __init__(self, port: int, answer: Callable[[Request], Answer]) -> None:
        handler = type("Handler", (_Handler,), {"answer": lambda _handler, request: answer(request)})
        self._server = _Server(("127.0.0.1", port), handler)
        self.url = f"http://127.0.0.1:{port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name=f"web-{port}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections from now on; harmless when done twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(http.server.ThreadingHTTPServer):
    # A client may hold a connection open for ever; the threads end with the process.
    block_on_close = False
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that went away; what goes wrong in an answer is a bug and is reported."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_SECONDS
    # Headers and body leave in two writes; Nagle's algorithm would hold the second for 40 ms.
    disable_nagle_algorithm = True

    def answer(self, request: Request) -> Answer:
        """Return the answer to a request; every server has its own."""
        raise NotImplementedError

    def _respond(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        encoding = self.headers.get("Content-Encoding") or "identity"
        answer = self.answer(Request(self.command, self.path, encoding, self.rfile.read(length)))
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = _respond  # noqa: N815 - the names http.server looks up

    def log_message(self, *_: object) -> None:
        """Write nothing: requests are counted where it matters."""
