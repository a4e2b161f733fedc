"""`holdtrue audit`: how it ends when it is ended, and that two of them do not harm each other."""

import signal
import time
from dataclasses import dataclass

import pytest

from tests.integration.audit_desk import THE_FINDING, VULNERABLE, Desk, desk, server
from tests.integration.osv_fault_server import Fault, FaultServer

__all__ = ["desk", "server"]

PROMPTLY_SECONDS = 10.0
"""Far below the 60 s for which a server is silent here, with some patience for a busy machine."""
FORMER = "the report of an earlier run\n"


@dataclass(frozen=True)
class Wait:
    """What a run waits for when the signal comes: an answer to this path, asked for because of these arguments."""

    path: str
    arguments: tuple[str, ...]
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    processes: int = 1

    def fault(self) -> Fault:
        silence_seconds = 0 if self.headers else 60
        return Fault(self.path, self.status, headers=dict(self.headers), delay_seconds=silence_seconds)


WAITS = {
    "a silent API": Wait("/v1/querybatch", ("--osv-url", "URL")),
    "an API that is silent about an advisory": Wait("/v1/vulns/.*", ("--osv-url", "URL")),
    "an API that asks for patience": Wait("/v1/querybatch", ("--osv-url", "URL"), 503, (("Retry-After", "30"),)),
    "pip-audit, and its API is silent": Wait("/v1/query", ("--pip-audit-url", "URL"), processes=2),
    "uv, and its index is silent": Wait("/simple/.*", ("--resolve", "--osv-db", "dump.jsonl"), processes=2),
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("waiting_for", WAITS)
def test_nothing_outlives_the_command(
    desk: Desk, server: FaultServer, waiting_for: str, number: signal.Signals
) -> None:
    wait = WAITS[waiting_for]
    server.faults = [wait.fault()]
    desk.settings = {"UV_DEFAULT_INDEX": f"{server.url}/simple", "UV_HTTP_RETRIES": "0"}
    # One is pinned, so that there is something to ask, and one is not, so that there is something to resolve.
    desk.file("requirements.txt", "demo-a==1.0\ndemo-b>=2\n")
    report = desk.file("report", FORMER)
    arguments = [server.url if argument == "URL" else argument for argument in wait.arguments]

    with desk.start("-r", "requirements.txt", *arguments, "--output", "report") as child:
        server.wait_for(wait.path, seconds=30)
        assert sum(left.startswith("process") for left in desk.left_behind()) == wait.processes
        started = time.monotonic()
        child.send_signal(number)
        _, err = child.communicate(timeout=30)
        seconds = time.monotonic() - started

    assert child.returncode == 128 + number
    assert desk.left_behind() == []
    assert report.read_text() == FORMER
    assert "Traceback" not in err
    assert seconds < PROMPTLY_SECONDS


def test_two_runs_at_once_on_a_cold_cache(desk: Desk, server: FaultServer) -> None:
    arguments = ("--osv-db", "dump.jsonl", "--osv-url", server.url)

    ended = desk.audit_together(arguments, arguments)

    assert [item.code for item in ended] == [VULNERABLE, VULNERABLE]
    assert [item.err for item in ended] == ["", ""]
    assert ended[0].found == ended[1].found == THE_FINDING
    assert ended[0].document.findings[0].sources == ("osv", "osv-db")
    assert desk.left_behind() == []
    assert len(list((desk.folder / "holdtrue_cache").rglob("osv-dump-*.sqlite"))) == 1
