"""`holdtrue approvals`: exit codes, one line for each request, and nothing that a terminal obeys."""

import json
from pathlib import Path

import pytest

from holdtrue.adapters.ledger import open_ledger
from holdtrue.cli import ExitCode, main
from holdtrue.models.approval import ApprovalRequest, Approver
from holdtrue.models.ledger import Ledger
from holdtrue.models.stack import PlanPart


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    url = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", url)
    return open_ledger(url)


def request(digest: str) -> ApprovalRequest:
    parts = {PlanPart.PLACE: {"environment": "hash-of-it"}}
    return ApprovalRequest(environment="demo", digest=digest, parts=parts, requested_by="run-1")


def test_without_requests_all_is_good(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert ledger.approvals.all() == ()
    assert main(["approvals"]) == ExitCode.GOOD
    assert capsys.readouterr().out.strip()


def test_an_open_request_is_a_finding_until_it_is_answered(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.approvals.ask(request("d1"), 3600)
    assert main(["approvals"]) == ExitCode.FINDINGS
    assert "open until" in capsys.readouterr().out

    ledger.approvals.use("demo", "d1", Approver(name="sam\x1b[31m\nforged: line"), reason="", run="run-2")
    assert main(["approvals"]) == ExitCode.GOOD
    (line,) = capsys.readouterr().out.splitlines()
    assert all(part in line for part in ("sam", "unproved", "run-2"))
    assert "\x1b" not in line


def test_the_json_has_what_became_of_each_and_no_hashes(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.approvals.ask(request("d1"), 3600)
    ledger.approvals.ask(request("d2"), 3600)
    ledger.approvals.refuse("demo", "d1", Approver(name="kim", is_proved=True), reason="no")
    assert main(["approvals", "--json"]) == ExitCode.FINDINGS
    text = capsys.readouterr().out
    found = {item["digest"]: item for item in json.loads(text)["approvals"]}
    assert found["d1"]["refused"] is True
    assert found["d1"]["approver"] == {"name": "kim", "is_proved": True}
    assert found["d2"]["approver"] is None
    assert "hash-of-it" not in text


def test_a_ledger_that_is_away_is_not_nothing_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDTRUE_LEDGER_URL", "postgresql+psycopg://user@127.0.0.1:9/ledger")
    assert main(["approvals"]) == ExitCode.COULD_NOT_LOOK
