"""What pip-audit makes of a broken advisory source, and what PipAudit makes of pip-audit.

Each fault is served to the real command. A fault on every path meets our own question first; one on `/v1/query` alone
meets pip-audit, which would end with a traceback, or with "No known vulnerabilities found".
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from holdtrue.adapters.pip_audit import PipAudit
from holdtrue.core.audit import merge
from holdtrue.errors import ServiceNotReady, ServiceUnreachable
from holdtrue.models.advisory import AuditReport, AuditTarget, AuditVerdict, InventoryKind, TargetAudit
from holdtrue.runtime.process import find_marked

PINS = "demo-a==1.0\ndemo-b==2.0\ndemo-c==3.0\n"


@dataclass
class Source:
    """An OSV API whose answers a test replaces: by package on /v1/query, or on a whole path."""

    url: str = ""
    records: dict[str, list[Any]] = field(default_factory=dict)
    """Advisories by package name; the batch names these, whatever /v1/query is made to say."""
    query: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    everywhere: tuple[int, bytes] | None = None
    next_page: str = ""
    hang: threading.Event = field(default_factory=threading.Event)
    hangs_on: str = ""

    def answer(self, path: str, body: Any) -> tuple[int, bytes]:
        if self.everywhere is not None:
            return self.everywhere
        if path.startswith("/v1/vulns/"):
            found = [item for items in self.records.values() for item in items if path.endswith(f"/{item['id']}")]
            return (200, json.dumps(found[0]).encode()) if found else (404, b"{}")
        if path == "/v1/querybatch":
            return 200, json.dumps(
                {"results": [self._named(item["package"]["name"]) for item in body["queries"]]}
            ).encode()
        name = body["package"]["name"]
        if name == self.hangs_on:
            self.hang.wait(20)
        records = self.records.get(name, [])
        return self.query.get(name, (200, json.dumps({"vulns": records} if records else {}).encode()))

    def _named(self, name: str) -> dict[str, Any]:
        names = [{"id": item["id"], "modified": "2099-01-01T00:00:00Z"} for item in self.records.get(name, [])]
        return {"vulns": names, "next_page_token": self.next_page if name == "demo-b" else ""} if names else {}


@contextmanager
def serving(source: Source) -> Iterator[Source]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # header and body in one packet: Nagle's algorithm makes 40 ms of each request otherwise

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(*source.answer(self.path, body))

        def do_GET(self) -> None:
            self._send(*source.answer(self.path, None))

        def _send(self, status: int, body: bytes) -> None:
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Retry-After", "1")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that was killed while it waited is what some of these tests are about."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        source.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield source
        finally:
            source.hang.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def source() -> Iterator[Source]:
    with serving(Source()) as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> AuditTarget:
    file = tmp_path / "requirements.txt"
    file.write_text(PINS)
    return AuditTarget(label="app", kind=InventoryKind.REQUIREMENTS, path=file)


def audit(source: Source, target: AuditTarget, timeout_seconds: float = 60) -> TargetAudit:
    return PipAudit(osv_url=source.url, timeout_seconds=timeout_seconds).audit(target)


def judge(result: TargetAudit) -> AuditReport:
    return merge([result], [], source="x", started_at=datetime.now(UTC), duration_seconds=0)


def record(package: str, name: str = "PYSEC-2099-1", **more: Any) -> dict[str, Any]:
    events = [{"introduced": "0"}, {"fixed": "9.0"}]
    affected = {
        "package": {"name": package, "ecosystem": "PyPI"},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    return {"id": name, "modified": "2099-01-01T00:00:00Z", "summary": "made up", "affected": [affected], **more}


def with_fix(package: str, fix: str, name: str = "PYSEC-2099-1") -> dict[str, Any]:
    found = record(package, name)
    found["affected"][0]["ranges"][0]["events"][1]["fixed"] = fix
    return found


def test_a_healthy_source_is_clean(source: Source, target: AuditTarget) -> None:
    result = audit(source, target)

    assert (result.audited, result.advisories, result.not_audited) == (3, (), ())
    assert judge(result).verdict is AuditVerdict.CLEAN


def test_a_finding_is_found(source: Source, target: AuditTarget) -> None:
    source.records["demo-b"] = [record("demo-b", aliases=["CVE-2099-1"])]

    result = audit(source, target)

    (found,) = result.advisories
    assert (found.package, found.version, found.id) == ("demo-b", "2.0", "PYSEC-2099-1")
    assert (found.aliases, found.fixed_in, found.found_in) == (("CVE-2099-1",), ("9.0",), ("app",))
    assert (result.audited, result.not_audited) == (3, ())


FAULTS = [
    (404, b"{}"), (429, b""), (500, b""), (503, b"{}"), (302, b""), (200, b"<html>please log in</html>"),
    (200, b'{"vulns": [{"id"'), (200, b""),
]  # fmt: skip


@pytest.mark.parametrize("fault", [*FAULTS, (200, b"{}"), (200, b"[]"), (200, b"null")], ids=str)
def test_a_fault_on_every_path_is_not_clean(source: Source, target: AuditTarget, fault: tuple[int, bytes]) -> None:
    source.everywhere = fault

    with pytest.raises(ServiceNotReady) as caught:
        audit(source, target)

    assert source.url in caught.value.where


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_that_only_pip_audit_meets_is_not_clean(
    source: Source, target: AuditTarget, fault: tuple[int, bytes]
) -> None:
    source.query["demo-b"] = fault

    with pytest.raises(ServiceNotReady) as caught:
        audit(source, target)

    assert "demo-b 2.0" in caught.value.where
    assert "Traceback" not in str(caught.value)


def test_a_connection_cut_under_pip_audit_is_unreachable(source: Source, target: AuditTarget) -> None:
    source.query["demo-c"] = (0, b"")

    with pytest.raises(ServiceUnreachable) as caught:
        audit(source, target)

    assert "demo-c 3.0" in caught.value.where


def test_nobody_listening_is_unreachable(target: AuditTarget) -> None:
    with pytest.raises(ServiceUnreachable):
        PipAudit(osv_url="http://127.0.0.1:1", timeout_seconds=5).audit(target)


def test_a_source_that_does_not_answer_in_time_is_unreachable(source: Source, target: AuditTarget) -> None:
    source.hangs_on = "demo-b"
    started = time.monotonic()

    with pytest.raises(ServiceUnreachable):
        audit(source, target, timeout_seconds=3)

    assert time.monotonic() - started < 15


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null"])
def test_an_empty_answer_against_what_the_source_names_is_a_gap(
    source: Source, target: AuditTarget, body: bytes
) -> None:
    source.records["demo-b"] = [record("demo-b")]
    source.query["demo-b"] = (200, body)

    result = audit(source, target)

    assert result.audited == 2
    assert [gap.name for gap in result.not_audited] == ["demo-b"]
    assert "PYSEC-2099-1" in result.not_audited[0].reason
    assert judge(result).verdict is AuditVerdict.INCOMPLETE


def test_a_withdrawn_advisory_is_no_gap(source: Source, target: AuditTarget) -> None:
    source.records["demo-b"] = [record("demo-b", withdrawn="2099-02-01T00:00:00Z")]

    result = audit(source, target)

    assert (result.audited, result.advisories, result.not_audited) == (3, (), ())


def test_an_advisory_of_an_unknown_schema_is_a_gap(source: Source, target: AuditTarget) -> None:
    source.records["demo-b"] = [record("demo-b", schema_version="2.0.0")]

    assert [gap.name for gap in audit(source, target).not_audited] == ["demo-b"]


def test_further_pages_are_a_gap_and_the_first_page_is_kept(source: Source, target: AuditTarget) -> None:
    source.records["demo-b"] = [record("demo-b")]
    source.next_page = "more"

    result = audit(source, target)

    assert [item.id for item in result.advisories] == ["PYSEC-2099-1"]
    assert [gap.name for gap in result.not_audited] == ["demo-b"]
    assert result.audited == 2


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"vulns": [with_fix("demo-b", "0.2.0-n653")]}).encode(),
        json.dumps({"vulns": [record("demo-b", published="2099-01-01T00:00:00+00:00")]}).encode(),
        b'{"next_page_token": "more"}',
        b'{"vulns": null}',
        b'{"error": "down"}',
        b'["unexpected"]',
    ],
    ids=["bad fix", "bad date", "page without records", "null", "error in an object", "list"],
)
def test_one_unreadable_answer_costs_one_package_only(source: Source, target: AuditTarget, body: bytes) -> None:
    source.records["demo-a"] = [record("demo-a", "PYSEC-2099-2")]
    source.records["demo-c"] = [record("demo-c", "PYSEC-2099-3")]
    source.query["demo-b"] = (200, body)

    result = audit(source, target)

    assert [item.id for item in result.advisories] == ["PYSEC-2099-2", "PYSEC-2099-3"]
    assert [gap.name for gap in result.not_audited] == ["demo-b"]
    assert result.audited == 2


def test_unreadable_answers_for_all_are_gaps_for_all(source: Source, target: AuditTarget) -> None:
    source.query = dict.fromkeys(("demo-a", "demo-b", "demo-c"), (200, b'{"vulns": null}'))

    result = audit(source, target)

    assert result.audited == 0
    assert {gap.name for gap in result.not_audited} == {"demo-a", "demo-b", "demo-c"}


def test_unreadable_answers_for_many_are_a_broken_source(source: Source, tmp_path: Path) -> None:
    names = [f"demo-{number}" for number in range(6)]
    file = tmp_path / "many.txt"
    file.write_text("".join(f"{name}==1.0\n" for name in names))
    source.query = dict.fromkeys(names, (200, b'{"vulns": null}'))

    with pytest.raises(ServiceNotReady):
        audit(source, AuditTarget(label="many", kind=InventoryKind.REQUIREMENTS, path=file))


def test_two_versions_of_one_package_are_both_asked_about(source: Source, tmp_path: Path) -> None:
    file = tmp_path / "markers.txt"
    file.write_text(
        'demo-a==1.0 ; python_version < "3.12"\ndemo-a==2.0 ; python_version >= "3.12"\ngit+https://h.example/x\n'
    )
    source.records["demo-a"] = [record("demo-a")]

    result = audit(source, AuditTarget(label="markers", kind=InventoryKind.REQUIREMENTS, path=file))

    assert {item.version for item in result.advisories} == {"1.0", "2.0"}
    assert (result.audited, [gap.name for gap in result.not_audited]) == (2, ["x"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_the_command(source: Source, target: AuditTarget, number: signal.Signals) -> None:
    source.hangs_on = "demo-b"
    mark = f"{os.getpid()}-{number}"
    before = set(Path("/dev/shm").glob("holdtrue-audit-*"))  # noqa: S108 - where private folders are made
    command = subprocess.Popen(
        [sys.executable, "-m", "holdtrue.cli", "audit", "-r", str(target.path), "--osv-url", source.url],
        env={**os.environ, "HOLDTRUE_PASS_ENVIRONMENT": "AUDIT_TEST_MARK", "AUDIT_TEST_MARK": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with command:
        wait_for(lambda: len(marked(mark)) == 2)
        assert set(Path("/dev/shm").glob("holdtrue-audit-*")) - before  # noqa: S108
        assert any(b"pip_audit" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in marked(mark))

        command.send_signal(number)
        _, errors = command.communicate(timeout=30)

    assert not marked(mark)
    assert set(Path("/dev/shm").glob("holdtrue-audit-*")) <= before  # noqa: S108
    assert command.returncode == 128 + number
    assert b"Traceback" not in errors


def marked(mark: str) -> set[int]:
    return find_marked("AUDIT_TEST_MARK", mark)


def wait_for(condition: Callable[[], bool], limit_seconds: float = 20) -> None:
    deadline = time.monotonic() + limit_seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)
