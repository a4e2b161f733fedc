"""Approvals in a ledger on SQLite: each request is answered and used at most once."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, update

from holdtrue.adapters.ledger import open_ledger
from holdtrue.adapters.ledger.tables import APPROVALS, NOW
from holdtrue.models.approval import ApprovalRequest, Approver
from holdtrue.models.ledger import Ledger
from holdtrue.models.stack import PlanPart

SAM = Approver(name="sam")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_ledger(f"sqlite:///{tmp_path}/ledger.db")


def request(environment: str = "demo", digest: str = "d1") -> ApprovalRequest:
    parts = {PlanPart.STATE: {"urn": "hash"}}
    return ApprovalRequest(environment=environment, digest=digest, parts=parts, requested_by="asking-run")


def test_a_request_is_kept_whole(ledger: Ledger) -> None:
    asked = ledger.approvals.ask(request(), 60)
    assert asked.parts == {PlanPart.STATE: {"urn": "hash"}}
    assert (asked.expires_at - asked.requested_at).total_seconds() == 60
    assert asked.is_open
    assert ledger.approvals.latest("d1") == asked
    assert ledger.approvals.latest("d2") is None


def test_an_approval_is_used_once(ledger: Ledger) -> None:
    ledger.approvals.ask(request(), 60)
    used = ledger.approvals.use("demo", "d1", SAM, reason="planned", run="run-1")
    assert used is not None
    assert (used.approver, used.reason, used.used_by) == (SAM, "planned", "run-1")
    assert used.answered_at is not None
    assert not used.is_open
    assert ledger.approvals.use("demo", "d1", SAM, reason="", run="run-2") is None
    assert ledger.approvals.latest("d1") == used


def test_only_an_open_request_of_this_plan_and_environment_can_be_used(ledger: Ledger) -> None:
    ledger.approvals.ask(request(), 60)
    assert ledger.approvals.use("other", "d1", SAM, reason="", run="run") is None
    assert ledger.approvals.use("demo", "d2", SAM, reason="", run="run") is None
    ledger.approvals.refuse("demo", "d1", SAM, reason="no")
    assert ledger.approvals.use("demo", "d1", SAM, reason="", run="run") is None
    refused = ledger.approvals.latest("d1")
    assert refused is not None
    assert refused.refused


def test_an_expired_request_cannot_be_used(ledger: Ledger, tmp_path: Path) -> None:
    ledger.approvals.ask(request(), 60)
    with create_engine(f"sqlite:///{tmp_path}/ledger.db").begin() as connection:
        connection.execute(update(APPROVALS).values(expires_at=NOW))
    assert ledger.approvals.use("demo", "d1", SAM, reason="", run="run") is None
    expired = ledger.approvals.latest("d1")
    assert expired is not None
    assert expired.is_expired
    assert not expired.is_open


def test_to_ask_again_opens_a_new_request_and_keeps_the_used_one(ledger: Ledger) -> None:
    ledger.approvals.ask(request(), 60)
    ledger.approvals.ask(request(), 60)
    assert len(ledger.approvals.all()) == 1, "an unanswered request is replaced"
    ledger.approvals.use("demo", "d1", SAM, reason="", run="run-1")
    again = ledger.approvals.ask(request(), 60)
    assert ledger.approvals.latest("d1") == again
    assert ledger.approvals.use("demo", "d1", SAM, reason="", run="run-2") is not None
    assert [item.used_by for item in ledger.approvals.all()].count("run-1") == 1


def test_each_environment_has_a_key_of_its_own_that_stays(ledger: Ledger, tmp_path: Path) -> None:
    key = ledger.approvals.key("demo")
    assert len(key) == 32
    assert open_ledger(f"sqlite:///{tmp_path}/ledger.db").approvals.key("demo") == key
    assert ledger.approvals.key("other") != key
