"""The form in Prefect's UI with which a person answers a request for an approval."""

from typing import Final
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from prefect.states import Running
from pydantic import Field

NAME_LIMIT: Final = 100
REASON_LIMIT: Final = 1_000


class ApprovalForm(RunInput):
    """The form a person fills in to let a plan run."""

    approve: bool = Field(default=False, description="Carry out the plan shown above.")
    approver: str = Field(min_length=1, max_length=NAME_LIMIT, description="Who decides.")
    reason: str = Field(default="", max_length=REASON_LIMIT, description="Why.")


def wait_for_answer(text: str, timeout_seconds: int) -> ApprovalForm | None:
    """Pause this run until a person has filled in the form; None if nobody does in time."""
    try:
        return pause_flow_run(
            wait_for_input=ApprovalForm.with_initial_data(description=text, approve=False),
            timeout=timeout_seconds,
            poll_interval=2,
        )
    except FlowPauseTimeout:
        _leave_pause()
        return None


def _leave_pause() -> None:
    """End a pause that nobody answered.

    The server turns whatever follows such a pause into its own `Failed` state and drops our name and message; only a
    forced transition gets past that rule (prefect 3.8.8, HandleResumingPausedFlows in its core_policy.py).
    """
    flow_run_id = runtime.flow_run.id
    if flow_run_id:
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(str(flow_run_id)), Running(), force=True)
