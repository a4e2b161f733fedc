import pytest

from holdtrue.core.plan_policy import review_plan
from holdtrue.errors import RejectedError
from holdtrue.models.environment import Policy
from holdtrue.models.stack import Operation, Plan, ResourceChange


def plan(*operations: Operation) -> Plan:
    changes = tuple(
        ResourceChange(urn=f"urn::{number}", type="t", operation=op) for number, op in enumerate(operations)
    )
    return Plan(stack="demo", changes=changes, unchanged=0, digest="d")


def test_by_default_deletes_and_replaces_need_a_person() -> None:
    review = review_plan(plan(Operation.CREATE, Operation.DELETE, Operation.UPDATE, Operation.REPLACE), Policy())

    assert [change.operation for change in review.needs_approval] == [Operation.DELETE, Operation.REPLACE]


def test_a_policy_may_ask_for_approval_of_anything() -> None:
    policy = Policy(approval_required_for=frozenset({Operation.CREATE}))

    assert len(review_plan(plan(Operation.CREATE, Operation.DELETE), policy).needs_approval) == 1


def test_a_plan_larger_than_admitted_is_refused() -> None:
    review_plan(plan(Operation.CREATE), Policy(max_changes=1))

    with pytest.raises(RejectedError, match="2 changes"):
        review_plan(plan(Operation.CREATE, Operation.CREATE), Policy(max_changes=1))
