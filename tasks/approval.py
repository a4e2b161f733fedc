"""Human approval of a plan, bound to its digest."""

from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from prefect.states import Running
from pydantic import Field

from holdtrue.core.plan_policy import review_plan
from holdtrue.core.render import changes_table
from holdtrue.errors import ApprovalRequired
from holdtrue.models.base import Progress
from holdtrue.models.environment import Environment
from holdtrue.models.stack import Plan, ResourceChange
from tasks.journal import watch


class Approval(RunInput):
    """The form a person fills in to let a plan run."""

    approve: bool = Field(default=False, description="Carry out the plan shown above.")
    approver: str = Field(min_length=1, description="Who decides.")
    reason: str = Field(default="", description="Why.")


def require_approval(environment: Environment, plan: Plan, approved_plan: str | None) -> None:
    """Let the plan pass when the policy or a person lets it; wait for the person as long as the manifest says.

    Raises:
        ApprovalRequired: nobody has approved this very plan.
        RejectedError: the plan is larger than the policy admits.
    """
    review = review_plan(plan, environment.policy)
    if not review.needs_approval or approved_plan == plan.digest:
        return
    if environment.policy.approval_timeout_seconds and _approved_in_ui(environment, plan, review.needs_approval):
        return
    named = ", ".join(f"{change.operation} {change.name}" for change in review.needs_approval[:10])
    raise ApprovalRequired(
        f"{len(review.needs_approval)} changes need approval: {named}",
        where=f"environment {environment.name}, plan {plan.digest}",
        next_step="review the preview, then run again with approved_plan set to this digest",
    )


def _approved_in_ui(environment: Environment, plan: Plan, changes: tuple[ResourceChange, ...]) -> bool:
    question = f"Plan `{plan.digest}` of **{environment.name}** needs approval.\n\n{changes_table(changes)}"
    try:
        answer = pause_flow_run(
            wait_for_input=Approval.with_initial_data(description=question, approve=False),
            timeout=environment.policy.approval_timeout_seconds,
            poll_interval=2,
        )
    except FlowPauseTimeout:
        _leave_pause()
        return False
    decision = "approved" if answer.approve else "refused"
    watch(Progress(message=f"plan {plan.digest[:12]} {decision} by {answer.approver}: {answer.reason}"))
    return answer.approve


def _leave_pause() -> None:
    """End a pause that nobody answered.

    The server turns whatever follows such a pause into its own `Failed` state and drops our name and message; only a
    forced transition gets past that rule (prefect 3.8.8, HandleResumingPausedFlows in its core_policy.py).
    """
    flow_run_id = runtime.flow_run.id
    if flow_run_id:
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(str(flow_run_id)), Running(), force=True)
