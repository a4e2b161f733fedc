"""Checks, verdicts and the seams that run checks."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pydantic import Field

from holdtrue.models.base import ProgressSink, Value, ignore_progress
from holdtrue.models.environment import HttpProbe
from holdtrue.models.host import Host


class CheckOutcome(StrEnum):
    """How one check ended. A stable contract."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERROR = "error"
    """The check could not look: an unreachable host, a broken suite."""


class CheckResult(Value):
    """One check against one target."""

    target: str = Field(description="Host name, or the load balancer's address.")
    name: str
    kind: str = Field(description="testinfra, http or ssh.")
    outcome: CheckOutcome
    detail: str = ""
    duration_seconds: float = Field(default=0.0, ge=0)

    @property
    def headline(self) -> str:
        """The first line of the detail: what a list shows, while the table of checks shows all of it."""
        return next(iter(self.detail.splitlines()), "")


class VerdictOutcome(StrEnum):
    """The gate's three answers. A stable contract."""

    PASS = "pass"  # noqa: S105 - the word, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Verdict(Value):
    """What the checks proved, about which hosts, and how long that may be relied on."""

    outcome: VerdictOutcome
    environment: str
    hosts: tuple[str, ...]
    plan_digest: str = Field(description="Digest of the plan this verdict was reached on; empty when none was applied.")
    checks: tuple[CheckResult, ...]
    reasons: tuple[str, ...] = Field(description="Why it is not a pass; empty on pass.")
    decided_at: datetime
    expires_at: datetime


class HostChecks(Protocol):
    """Runs ordinary check suites against hosts over an open SSH access.

    A host that cannot be reached and a suite that cannot be collected are results with outcome `error`, not exceptions.
    """

    def run(self, hosts: Sequence[Host], on_progress: ProgressSink = ignore_progress) -> tuple[CheckResult, ...]:
        """Run every suite on every host."""
        ...


class Prober(Protocol):
    """Asks one HTTP question."""

    def probe(self, probe: HttpProbe, *, url: str, target: str) -> CheckResult:
        """Ask `url` (the filled-in template) and judge the answer; never raises for what the network does."""
        ...
