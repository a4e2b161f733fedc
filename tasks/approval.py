"""Human approval of a plan: a record in the ledger, bound to the plan's digest, that lets one run pass once."""

from typing import Final
from uuid import UUID

from prefect import runtime
from prefect.artifacts import create_markdown_artifact
from prefect.client.base import ServerType
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun

from holdtrue.core.approval_text import approver_text, as_time
from holdtrue.core.neutral import for_terminal, one_line
from holdtrue.core.plan_approval import objections
from holdtrue.core.plan_policy import review_plan
from holdtrue.core.render_approval import FORM_BYTES, PAGE_BYTES, plan_page, question
from holdtrue.credentials.scope import current_scope
from holdtrue.errors import ApprovalRequired
from holdtrue.models.approval import Approval, ApprovalRequest, Approvals, Approver
from holdtrue.models.base import Progress
from holdtrue.models.environment import Environment
from holdtrue.models.stack import Plan, ResourceChange
from holdtrue.runtime.redaction import redact_data, redact_text
from tasks.approval_form import NAME_LIMIT, REASON_LIMIT, ApprovalForm, wait_for_answer
from tasks.infrastructure import preview_stack
from tasks.journal import current_journal, watch
from tasks.reports import save_report

APPROVAL: Final = "approval"
"""The journal's name of the approval that let the plan pass."""

_NAMED: Final = 10
_USER: Final = "USER"


def require_approval(environment: Environment, plan: Plan, approved_plan: str | None) -> None:
    """Let the plan pass when the policy or a person lets it; wait for the person as long as the manifest says.

    Raises:
        ApprovalRequired: nobody has approved exactly this plan, or the approval does not count for it.
        RejectedError: the plan is larger than the policy admits.
        HoldtrueError: the ledger cannot record the approval; nothing is approved then.
    """
    # Registered secrets are taken out first: values are cut to fit, and a secret that was cut could not be found.
    plan = plan.model_copy(update={"changes": _redacted(plan.changes)})
    needed = review_plan(plan, environment.policy).needs_approval
    if not needed:
        return
    approvals = current_scope().ledger().approvals
    found: tuple[str, ...] = ()
    if approved_plan is not None:
        found = objections(approvals.latest(approved_plan), plan, environment.name)
        if not found:
            _use(approvals, environment, plan, _starter(), f"approved_plan of flow run {runtime.flow_run.name}")
            return
    asked = _ask(approvals, environment, plan, needed)
    answer = None
    if patience := min(environment.policy.approval_timeout_seconds, environment.policy.approval_expires_seconds):
        answer = wait_for_answer(_question(environment, plan, needed, asked, found), patience)
    if answer is None:
        raise _required(environment, needed, asked, found)
    _take_answer(approvals, environment, asked, answer)


def _take_answer(approvals: Approvals, environment: Environment, asked: Approval, answer: ApprovalForm) -> None:
    """Record the answer. The plan is made once more, because things may have changed while the person decided."""
    person = Approver(name=one_line(redact_text(answer.approver), NAME_LIMIT))
    reason = one_line(redact_text(answer.reason), REASON_LIMIT)
    if not answer.approve:
        approvals.refuse(environment.name, asked.digest, person, reason=reason)
        raise ApprovalRequired(
            f"the plan was refused by {approver_text(person)}: {reason or 'no reason given'}",
            where=_place(environment, asked.digest),
            next_step="change the program, then run provision again",
        )
    current = preview_stack(environment)
    found = objections(asked, current, environment.name)
    if not found:
        _use(approvals, environment, current, person, reason)
        return
    raise ApprovalRequired(
        f"the plan changed while it waited for its approval: {one_line('; '.join(found), REASON_LIMIT)}",
        where=_place(environment, current.digest),
        next_step="run provision again, and review its plan",
    )


def _use(approvals: Approvals, environment: Environment, plan: Plan, person: Approver, reason: str) -> None:
    used = approvals.use(environment.name, plan.digest, person, reason=reason, run=str(runtime.flow_run.id))
    if used is None:
        raise ApprovalRequired(
            "the approval has just expired, or another run has just used it",
            where=_place(environment, plan.digest),
            next_step="run provision again, and review its plan",
        )
    current_journal().results[APPROVAL] = used
    why = for_terminal(used.reason, REASON_LIMIT)
    watch(Progress(message=f"plan {plan.digest} approved by {for_terminal(approver_text(person))}: {why}"))


def _ask(approvals: Approvals, environment: Environment, plan: Plan, needed: tuple[ResourceChange, ...]) -> Approval:
    """Record the request, and keep the plan where a person can read all of it."""
    request = ApprovalRequest(
        environment=environment.name, digest=plan.digest, parts=plan.parts, requested_by=str(runtime.flow_run.id)
    )
    asked = approvals.ask(request, environment.policy.approval_expires_seconds)
    path = save_report("plan.json", plan.model_dump_json(indent=2))
    whole = f"`{path}` on the worker" if path is not None else "no file, because it could not be written on the worker"
    page = plan_page(environment.name, plan, needed, limit_bytes=PAGE_BYTES, whole=whole)
    create_markdown_artifact(
        key=f"plan-{environment.name}", markdown=redact_text(page), description="A plan that needs an approval"
    )
    return asked


def _question(
    environment: Environment,
    plan: Plan,
    needed: tuple[ResourceChange, ...],
    asked: Approval,
    found: tuple[str, ...],
) -> str:
    whole = f"the artifact `plan-{environment.name}` of this run"
    page = plan_page(environment.name, plan, needed, limit_bytes=FORM_BYTES, whole=whole)
    return redact_text(question(page, asked.expires_at, found))


def _redacted(changes: tuple[ResourceChange, ...]) -> tuple[ResourceChange, ...]:
    return tuple(ResourceChange.model_validate(redact_data(change.model_dump(mode="json"))) for change in changes)


def _required(
    environment: Environment, needed: tuple[ResourceChange, ...], asked: Approval, found: tuple[str, ...]
) -> ApprovalRequired:
    named = ", ".join(f"{change.operation} {one_line(change.name, NAME_LIMIT)}" for change in needed[:_NAMED])
    more = f" and {len(needed) - _NAMED} more" if len(needed) > _NAMED else ""
    why = f"; the approval that was given does not cover this plan: {'; '.join(found)}" if found else ""
    return ApprovalRequired(
        f"{len(needed)} changes need approval: {named}{more}{one_line(why, 2 * REASON_LIMIT)}",
        where=_place(environment, asked.digest),
        next_step="review the plan in this report; to let it run, start provision again before "
        f"{as_time(asked.expires_at)} with environment={environment.name} and approved_plan={asked.digest}",
    )


def _place(environment: Environment, digest: str) -> str:
    return f"environment {environment.name}, plan {digest}"


def _starter() -> Approver:
    """Who started this run, as far as Prefect knows."""
    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(UUID(str(runtime.flow_run.id)))
        return starter_of(flow_run, is_cloud=client.server_type == ServerType.CLOUD)


def starter_of(flow_run: FlowRun, *, is_cloud: bool) -> Approver:
    """Who started a run, as an approver. Only Prefect Cloud authenticates its users, so only there it is proved."""
    created_by = flow_run.created_by
    if created_by is None:
        return Approver(name="")
    name = one_line(redact_text(created_by.display_value or ""), NAME_LIMIT)
    return Approver(name=name, is_proved=is_cloud and created_by.type == _USER)
