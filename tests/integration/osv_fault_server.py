"""An OSV API and a package index over made-up advisories, whose answers a test replaces, delays or cuts.

Shapes as documented at https://google.github.io/osv.dev/api/ and https://docs.pypi.org/api/json/.
"""

import json
import re
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

LARGEST_BATCH = 1000
RECENTLY = f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
"""When the made-up advisories were modified: a dump of them is neither old nor from the future."""


@dataclass
class Fault:
    """What one path answers instead of what it should, `times` times (negative: always), after a delay."""

    path: str
    """Regular expression for the whole path."""
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    times: int = -1
    delay_seconds: float = 0.0
    is_cut: bool = False
    """Hang up instead of answering."""
    drip_seconds: float = 0.0
    """Send the body byte by byte, with this pause."""


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    body: Any
    at: float = field(default_factory=time.monotonic)
    """Seconds, of the monotonic clock."""


@dataclass
class FaultServer:
    """The server; a context manager, on the loopback only. `url` is the root of both APIs.

    An advisory is named for a package of one of its `affected` entries: for the `versions` listed there, or for all
    when none are.
    """

    records: dict[str, Any] = field(default_factory=dict)
    """Advisories by id."""
    bodies: dict[str, Any] = field(default_factory=dict)
    """What /v1/vulns/ID serves instead."""
    entries: dict[str, Callable[[str], Any]] = field(default_factory=dict)
    """Entry of a batch by package name, made from the page token."""
    projects: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of the index: by name and version, the page of that version."""
    faults: list[Fault] = field(default_factory=list)
    """The first that fits the path and is not used up counts."""
    asked: list[Asked] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    url: str = ""

    def add(self, *records: Any) -> None:
        """Make these known."""
        self.records |= {record["id"]: record for record in records}

    def counts(self) -> dict[str, int]:
        """Requests by kind: `querybatch`, `query`, `vulns`, `pypi`."""
        return dict(Counter(item.path.removeprefix("/v1/").strip("/").split("/")[0] for item in self.asked))

    def __enter__(self) -> Self:
        self._released = threading.Event()
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"source": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self, seconds: float) -> None:
        """Let time pass, at most until the server is closed."""
        self._released.wait(seconds)

    def wait_for(self, path: str, *, seconds: float) -> None:
        """Until a path that this regular expression fits was asked for.

        Raises:
            TimeoutError: none was within that time.
        """
        deadline = time.monotonic() + seconds
        while not any(re.fullmatch(path, item.path) for item in tuple(self.asked)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody asked for {path}, but for {[item.path for item in self.asked]}")
            self.wait(0.02)

    def answer(self, method: str, path: str, body: Any) -> Fault:
        """What a request gets."""
        with self._lock:
            self.asked.append(Asked(method, path, body))
            for fault in self.faults:
                if fault.times and re.fullmatch(fault.path, path):
                    fault.times -= 1
                    return fault
        document = self._document(method, path, body)
        if document is None:
            return Fault(path, 404, b'{"code":5,"message":"not found"}')
        return Fault(path, 200, json.dumps(document).encode())

    def _document(self, method: str, path: str, body: Any) -> Any:
        match method, path.strip("/").split("/"):
            case "POST", ["v1", "querybatch"] if len(body["queries"]) <= LARGEST_BATCH:
                return {"results": [self._entry(query) for query in body["queries"]]}
            case "POST", ["v1", "query"]:
                found = self._named(body)
                return {"vulns": found} if found else {}
            case "GET", ["v1", "vulns", advisory_id]:
                return self.bodies.get(advisory_id, self.records.get(advisory_id))
            case "GET", ["pypi", name, version, "json"]:
                return self.projects.get(name, {}).get(version)
            case "GET", ["pypi", name, "json"]:
                return {"info": {"name": name}} if name in self.projects else None
            case _:
                return None

    def _entry(self, query: Any) -> Any:
        name = query["package"]["name"]
        if name in self.entries:
            return self.entries[name](query.get("page_token", ""))
        short = [{"id": item["id"], "modified": item["modified"]} for item in self._named(query)]
        return {"vulns": short} if short else {}

    def _named(self, query: Any) -> list[Any]:
        return [item for item in self.records.values() if _speaks_of(item, query["package"]["name"], query["version"])]


def _speaks_of(record: Any, name: str, version: str) -> bool:
    entries = [item for item in record["affected"] if normalised(item["package"]["name"]) == name]
    return any(version in item.get("versions", [version]) for item in entries)


def normalised(name: str) -> str:
    """As PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def advisory(package: str, name: str = "PYSEC-2099-1", *, fixed: str = "9.0", **more: Any) -> dict[str, Any]:
    """One advisory about every version of a package below `fixed`."""
    events = [{"introduced": "0"}, {"fixed": fixed}]
    affected = {
        "package": {"name": package, "ecosystem": "PyPI"},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    return {"id": name, "modified": RECENTLY, "summary": "made up", "affected": [affected], **more}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Clients that go away are what some of these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    source: FaultServer
    protocol_version = "HTTP/1.1"
    timeout = 10
    wbufsize = -1  # header and body in one packet: Nagle's algorithm makes 40 ms of each request otherwise

    def _respond(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.source.answer(self.command, self.path, json.loads(raw) if raw else None)
        if answer.delay_seconds:
            self.source.wait(answer.delay_seconds)
        if answer.is_cut:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in ({"Content-Length": str(len(answer.body))} | answer.headers).items():
            self.send_header(name, value)
        self.end_headers()
        if not answer.drip_seconds:
            self.wfile.write(answer.body)
            return
        for position in range(len(answer.body)):
            self.wfile.write(answer.body[position : position + 1])
            self.wfile.flush()
            self.source.wait(answer.drip_seconds)

    do_GET = do_POST = _respond  # noqa: N815 - the names http.server looks up

    def log_message(self, *_: object) -> None:
        """Say nothing."""
