"""A small web service: `/` is the release's page, `/health` says ok. Standard library only.

Usage: server.py HOME, where HOME holds config.json and releases/current.
"""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class WebServer(ThreadingHTTPServer):
    """The service with its configuration."""

    daemon_threads = True

    def __init__(self, home: Path) -> None:
        config = json.loads((home / "config.json").read_text())
        self.version: str = config["version"]
        self.host_name: str = config["name"]
        self.page = home / "releases" / "current" / "index.html"
        super().__init__((config["listen"], config["port"]), PageHandler)


class PageHandler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    server: WebServer
    timeout = 10

    def do_GET(self) -> None:
        if self.path == "/health":
            self._answer(200, b"ok", "text/plain")
        elif self.path == "/":
            self._answer(200, self.server.page.read_bytes(), "text/html; charset=utf-8")
        else:
            self._answer(404, b"not found", "text/plain")

    do_HEAD = do_GET  # noqa: N815 - the name is the base class's

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Web-Version", self.server.version)
        self.send_header("X-Web-Host", self.server.host_name)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Keep the log for start-up errors; access logs belong to the load balancer."""


def main() -> None:
    home = Path(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with WebServer(home) as server:
        # The pid file says that the port is bound, so it is written last and in one step.
        ready = home / "web.pid.new"
        ready.write_text(f"{os.getpid()}\n")
        ready.replace(home / "web.pid")
        server.serve_forever()


if __name__ == "__main__":
    main()
