"""The validation gate: what the checks prove, and whether that admits traffic."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from holdtrue.core.excerpt import excerpt
from holdtrue.errors import GateClosed
from holdtrue.models.validation import CheckOutcome, CheckResult, Verdict, VerdictOutcome

_REASON_CHARACTERS: Final = 200
"""A reason is read in a state message; the whole detail is in the table of checks."""


def decide(
    checks: Sequence[CheckResult],
    *,
    environment: str,
    hosts: Sequence[str],
    plan_digest: str,
    now: datetime,
    ttl_seconds: int,
) -> Verdict:
    """Judge the checks: a failed one fails; a host without a passed one, or any that could not look, is inconclusive.

    Reachability (kind `ssh`) is a condition for checks and proves nothing by itself: a host needs a passed check of
    another kind.
    """
    failed = [check for check in checks if check.outcome is CheckOutcome.FAILED]
    blind = [check for check in checks if check.outcome is CheckOutcome.ERROR]
    proved = {check.target for check in checks if check.outcome is CheckOutcome.PASSED and check.kind != "ssh"}
    unproved = [host for host in hosts if host not in proved]
    reasons = [_reason(check) for check in (*failed, *blind)]
    if not hosts:
        reasons.append("there is no host to check")
    reasons += [f"{host}: no check passed" for host in unproved]
    if failed:
        outcome = VerdictOutcome.FAIL
    elif reasons:
        outcome = VerdictOutcome.INCONCLUSIVE
    else:
        outcome = VerdictOutcome.PASS
    return Verdict(
        outcome=outcome,
        environment=environment,
        hosts=tuple(hosts),
        plan_digest=plan_digest,
        checks=tuple(checks),
        reasons=tuple(reasons),
        decided_at=now,
        expires_at=now + timedelta(seconds=ttl_seconds),
    )


def _reason(check: CheckResult) -> str:
    said = excerpt(check.headline, _REASON_CHARACTERS)
    return f"{check.target}: {check.name} {check.outcome}: {said}".removesuffix(": ")


def admit(verdict: Verdict, *, environment: str, hosts: Sequence[str], plan_digest: str, now: datetime) -> None:
    """Let traffic move, or say why not.

    Raises:
        GateClosed: the verdict is not a pass, has expired, or was reached on another environment, plan or set of hosts.
    """
    objections = [
        text
        for holds, text in (
            (verdict.outcome is VerdictOutcome.PASS, f"the verdict is {verdict.outcome}"),
            (now < verdict.expires_at, f"the verdict expired at {verdict.expires_at.isoformat()}"),
            (verdict.decided_at <= now, "the verdict comes from the future: a clock is wrong"),
            (verdict.environment == environment, f"the verdict is about environment {verdict.environment}"),
            (verdict.plan_digest == plan_digest, "the verdict was reached on another plan"),
            (set(verdict.hosts) == set(hosts), f"the verdict is about {', '.join(verdict.hosts) or 'no host'}"),
        )
        if not holds
    ]
    if objections:
        raise GateClosed(
            f"traffic stays where it is: {'; '.join(objections)}",
            where=f"environment {environment}",
            next_step="validate again, then provision",
        )
