"""Approvals of plans: what was asked, who answered, and which run used the answer."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from pydantic import Field

from holdtrue.models.base import Value
from holdtrue.models.stack import PlanParts


class Approver(Value):
    """A person, as far as Prefect knows."""

    name: str = Field(description="Empty when nothing is known.")
    is_proved: bool = Field(default=False, description="Whether Prefect has authenticated this person.")


class ApprovalRequest(Value):
    """A plan that needs an approval before it may run."""

    environment: str
    digest: str = Field(description="The plan's digest, which covers everything that was shown.")
    parts: PlanParts = Field(
        default_factory=dict, exclude=True, repr=False, description="What the digest is made of, to say what differs."
    )
    requested_by: str = Field(description="Id of the flow run that asked.")


class Approval(ApprovalRequest):
    """A request in the ledger, with its answer if there is one. Times are those of the ledger's clock."""

    id: UUID
    requested_at: datetime
    expires_at: datetime = Field(description="Until then the request may be answered, and the answer used.")
    refused: bool = False
    approver: Approver | None = Field(default=None, description="Who answered; null while nobody has.")
    reason: str = ""
    answered_at: datetime | None = None
    used_by: str = Field(default="", description="Id of the flow run that used the approval; only one run can.")
    is_expired: bool = Field(default=False, description="Whether it had expired when it was read.")

    @property
    def is_open(self) -> bool:
        """Whether it can still be approved."""
        return self.answered_at is None and not self.is_expired


class Approvals(Protocol):
    """The approvals in a ledger."""

    def key(self, environment: str) -> bytes:
        """The secret key of this environment's hashes: 32 random bytes, created when first needed."""
        ...

    def ask(self, request: ApprovalRequest, expires_seconds: int) -> Approval:
        """Record the request; it replaces an unanswered one for the same plan."""
        ...

    def use(self, environment: str, digest: str, approver: Approver, *, reason: str, run: str) -> Approval | None:
        """Approve the open request for this plan and mark the approval as used, in one step.

        None when there is no open request. Of two runs that try at once, only one gets the approval.
        """
        ...

    def refuse(self, environment: str, digest: str, approver: Approver, *, reason: str) -> None:
        """Record that a person said no: the open request can no longer be approved."""
        ...

    def latest(self, digest: str) -> Approval | None:
        """The newest request for a plan with this digest, in any environment."""
        ...

    def all(self) -> Sequence[Approval]:
        """Every request, the oldest first, without the parts of its plan."""
        ...


class ApprovalList(Value):
    """All requests in a ledger."""

    approvals: tuple[Approval, ...]
