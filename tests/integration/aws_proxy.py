"""A proxy in front of moto that counts reads and writes, and can go away in the middle."""

import http.client
import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

_READS: Final = re.compile(r"(?:Get|Describe|List|Head)[A-Z]\w*")
_KEY_ID: Final = re.compile(r"Credential=(\w+)/")
_TIMEOUT_SECONDS: Final = 30
_EXPIRED: Final = (
    b"<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredToken</Code>"
    b"<Message>The security token included in the request is expired</Message></Error></ErrorResponse>"
)


class AwsProxy:
    """Forwards every request as it is, signature and Host header included.

    Attributes:
        url: The endpoint for clients.
        reads: What was asked, in AWS's own words where the protocol has them.
        writes: The same for what would change something.
        refuses_writes: From the first write on, hang up on everything.
        expired: Access key ids whose requests are answered as AWS answers keys that have ended.
    """

    def __init__(self, endpoint_url: str) -> None:
        self.reads: list[str] = []
        self.writes: list[str] = []
        self.refuses_writes = False
        self.expired: set[str] = set()
        self._is_down = False
        target = urlsplit(endpoint_url).netloc
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if not proxy._admits(self.command, self.path, self.headers.get("X-Amz-Target") or "", body):
                    self.close_connection = True
                    return
                if proxy.expired & set(_KEY_ID.findall(self.headers.get("Authorization") or "")):
                    self._refuse()
                    return
                connection = http.client.HTTPConnection(target, timeout=_TIMEOUT_SECONDS)
                try:
                    connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():
                        connection.putheader(name, value)
                    connection.endheaders(body)
                    answer = connection.getresponse()
                    self._answer(answer, answer.read())
                finally:
                    connection.close()

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _forward  # noqa: N815 - the names http.server looks up

            def _answer(self, answer: http.client.HTTPResponse, content: bytes) -> None:
                self.send_response_only(answer.status, answer.reason)
                for name, value in answer.getheaders():
                    if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def _refuse(self) -> None:
                self.send_response(HTTPStatus.FORBIDDEN)
                self.send_header("Content-Length", str(len(_EXPIRED)))
                self.end_headers()
                self.wfile.write(_EXPIRED)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
                """Stay quiet."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections; harmless when done twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _admits(self, method: str, path: str, target: str, body: bytes) -> bool:
        action = re.search(rb"(?:^|&)Action=(\w+)", body)
        name = target.rpartition(".")[2] or (action[1].decode() if action else f"{method} {path}")
        is_read = bool(_READS.fullmatch(name)) or name.startswith("GET ") or method == "HEAD"
        (self.reads if is_read else self.writes).append(name)
        self._is_down = self._is_down or (self.refuses_writes and not is_read)
        return not self._is_down


class _Server(http.server.ThreadingHTTPServer):
    # Clients keep their connections open; the threads end with the process.
    block_on_close = False
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is its own affair."""


@contextmanager
def aws_proxy(endpoint_url: str) -> Iterator[AwsProxy]:
    proxy = AwsProxy(endpoint_url)
    try:
        yield proxy
    finally:
        proxy.stop()
