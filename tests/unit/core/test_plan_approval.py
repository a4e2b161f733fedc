"""Which approvals cover a plan, and what is named when one does not."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from holdtrue.core.plan_approval import objections
from holdtrue.core.plan_identity import differences, digest_of
from holdtrue.models.approval import Approval, Approver
from holdtrue.models.stack import Plan, PlanPart, PlanParts

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
URN = "urn:pulumi:dev::shop::aws:s3/bucket:Bucket::{}"
PARTS: PlanParts = {
    PlanPart.PLACE: {"environment": "1", "backend": "2"},
    PlanPart.PROGRAM: {"__main__.py": "3"},
    PlanPart.CONFIGURATION: {"shop:size": "4"},
    PlanPart.STATE: {URN.format("logs"): "5"},
    PlanPart.STEPS: {URN.format("logs"): "6"},
    PlanPart.INPUTS: {URN.format("logs"): "7"},
    PlanPart.OUTPUTS: {"url": "8"},
}


def plan(parts: PlanParts = PARTS) -> Plan:
    return Plan(stack="dev", changes=(), unchanged=0, digest=digest_of(parts), parts=parts)


def request(**changes: Any) -> Approval:
    given: dict[str, Any] = {
        "id": UUID(int=1),
        "environment": "demo",
        "digest": digest_of(PARTS),
        "parts": PARTS,
        "requested_by": "asking-run",
        "requested_at": NOW,
        "expires_at": NOW + timedelta(hours=1),
    }
    return Approval(**given | changes)


def test_an_open_request_for_the_same_plan_covers_it() -> None:
    assert objections(request(), plan(), "demo") == ()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (None, "no run that uses this ledger"),
        (request(environment="other"), "environment other"),
        (request(used_by="run-7", approver=Approver(name="sam"), answered_at=NOW), "run-7"),
        (request(refused=True, approver=Approver(name="sam"), answered_at=NOW), "refused"),
        (request(is_expired=True), "expired at 2026-03-04 06:06:07 UTC"),
    ],
)
def test_a_request_that_does_not_count_is_named_with_its_reason(asked: Approval | None, words: str) -> None:
    (line,) = objections(asked, plan(), "demo")
    assert words in line


@pytest.mark.parametrize(
    ("part", "item", "words"),
    [
        (PlanPart.PLACE, "backend", "another backend"),
        (PlanPart.PROGRAM, "__main__.py", "program changed: __main__.py"),
        (PlanPart.CONFIGURATION, "shop:size", "configuration changed: shop:size"),
        (PlanPart.STATE, URN.format("logs"), "state changed: aws:s3/bucket:Bucket logs"),
        (PlanPart.STEPS, URN.format("logs"), "steps are planned for aws:s3/bucket:Bucket logs"),
        (PlanPart.INPUTS, URN.format("logs"), "inputs or secrets for aws:s3/bucket:Bucket logs"),
        (PlanPart.OUTPUTS, "url", "output names: url"),
    ],
)
@pytest.mark.parametrize("change", ["another value", "missing", "one more"])
def test_each_part_changes_the_digest_and_is_named(part: PlanPart, item: str, words: str, change: str) -> None:
    items = {**PARTS[part]}
    match change:
        case "another value":
            items[item] = "other"
        case "missing":
            del items[item]
        case _:
            items[f"{item}-2"] = "new"
    changed = plan({**PARTS, part: items})
    assert changed.digest != digest_of(PARTS)
    (line,) = objections(request(), changed, "demo")
    assert words in line


def test_the_order_of_parts_and_items_does_not_matter() -> None:
    turned = {part: dict(reversed(items.items())) for part, items in reversed(PARTS.items())}
    assert digest_of(turned) == digest_of(PARTS)
    assert differences(turned, PARTS) == ()


def test_many_differences_are_counted() -> None:
    many = {PlanPart.STATE: {URN.format(number): "h" for number in range(40)}}
    (line,) = differences({}, many)
    assert "and 35 more" in line
    assert len(line) < 300
