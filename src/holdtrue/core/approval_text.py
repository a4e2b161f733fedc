"""What became of a request for an approval, in words."""

from datetime import datetime

from holdtrue.models.approval import Approval, Approver


def as_time(moment: datetime | None) -> str:
    """A time of the ledger's clock."""
    return "an unknown time" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def approval_rows(approval: Approval) -> tuple[tuple[str, str], ...]:
    """Who approved which plan, when, and whether Prefect has authenticated that person."""
    return (
        ("Plan", approval.digest),
        ("Approved by", approver_text(approval.approver)),
        ("Approved at", as_time(approval.answered_at)),
        ("Asked for by flow run", approval.requested_by),
        ("Reason", approval.reason),
    )


def approver_text(approver: Approver | None) -> str:
    """The person, and whether Prefect has authenticated this person."""
    name = approver.name if approver is not None and approver.name else "a person whom Prefect does not name"
    return f"{name} ({'proved' if approver is not None and approver.is_proved else 'unproved'})"


def approval_line(approval: Approval) -> str:
    """One request on one line: which plan it was for, and what became of it."""
    asked = f"plan {approval.digest}, asked for at {as_time(approval.requested_at)}"
    return f"{approval.environment}: {asked}, {_fate(approval)}"


def _fate(approval: Approval) -> str:
    if approval.used_by:
        return f"approved by {approver_text(approval.approver)}, used by flow run {approval.used_by}"
    if approval.refused:
        return f"refused by {approver_text(approval.approver)}"
    if approval.is_expired:
        return "expired"
    return f"open until {as_time(approval.expires_at)}"
