"""Does an approval cover a plan? If it does not, this says why."""

from holdtrue.core.approval_text import as_time
from holdtrue.core.plan_identity import differences
from holdtrue.models.approval import Approval
from holdtrue.models.stack import Plan


def objections(asked: Approval | None, plan: Plan, environment: str) -> tuple[str, ...]:
    """Why the request that was approved does not cover this plan; empty when it does.

    Args:
        asked: The newest request with the approved digest, from any environment; None if the ledger has none.
        plan: The plan that is to be applied.
        environment: Where it is to be applied.
    """
    if asked is None:
        return ("no run that uses this ledger has asked for an approval of a plan with that digest",)
    if asked.environment != environment:
        return (f"it was asked for in environment {asked.environment}, not in {environment}",)
    return (*_history(asked), *_difference(asked, plan))


def _history(asked: Approval) -> tuple[str, ...]:
    if asked.used_by:
        return (f"it was used at {as_time(asked.answered_at)} by flow run {asked.used_by}: an approval counts once",)
    if asked.refused:
        return (f"a person refused that plan at {as_time(asked.answered_at)}",)
    if asked.is_expired:
        return (f"it expired at {as_time(asked.expires_at)}",)
    return ()


def _difference(asked: Approval, plan: Plan) -> tuple[str, ...]:
    if asked.digest == plan.digest:
        return ()
    found = differences(asked.parts, plan.parts) or ("it is a different plan",)
    return tuple(f"since it was asked for, {line}" for line in found)
