"""May this plan run?"""

from dataclasses import dataclass

from holdtrue.errors import RejectedError
from holdtrue.models.environment import Policy
from holdtrue.models.stack import Plan, ResourceChange


@dataclass(frozen=True, slots=True)
class PlanReview:
    """What the policy says about a plan that may run at all."""

    needs_approval: tuple[ResourceChange, ...]


def review_plan(plan: Plan, policy: Policy) -> PlanReview:
    """Sort out the changes that a person must approve.

    Raises:
        RejectedError: the plan is larger than the policy's `max_changes`.
    """
    if policy.max_changes is not None and len(plan.changes) > policy.max_changes:
        raise RejectedError(
            f"the plan has {len(plan.changes)} changes and the policy admits {policy.max_changes}",
            where=f"stack {plan.stack}",
            next_step="split the change, or raise policy.max_changes in the manifest",
        )
    return PlanReview(
        needs_approval=tuple(change for change in plan.changes if change.operation in policy.approval_required_for)
    )
