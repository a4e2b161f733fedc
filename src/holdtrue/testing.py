"""Fakes of every seam, for tests of what stands above the adapters: yours as well as ours.

Each gives the answers it was made with, one a call, the last one again and again; an exception among them is raised.
Each records what it was asked. Made without answers, each says that all is well and nothing changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from holdtrue.errors import HoldtrueError, ResourceMissing
from holdtrue.models.base import Progress, ProgressSink, ignore_progress
from holdtrue.models.configuration import (
    ConfigurationRun,
    Configurator,
    HandlerNote,
    HandlerSink,
    ignore_handlers,
)
from holdtrue.models.dependency import Pin
from holdtrue.models.environment import HttpProbe
from holdtrue.models.host import Host
from holdtrue.models.osv import AdvisoryRecord, AdvisorySource, Match, SourceAnswer
from holdtrue.models.stack import ApplyResult, Plan, RefreshResult, StackEngine, StackOutputs
from holdtrue.models.traffic import OutOfService, TrafficSwitch
from holdtrue.models.validation import CheckOutcome, CheckResult, HostChecks, Prober

T = TypeVar("T")

NO_CHANGES = Plan(stack="fake", changes=(), unchanged=1, digest="0" * 64)
"""A plan that does nothing."""

IN_SYNC = RefreshResult(changes=(), checked=("urn:pulumi:fake::fake::fake:index:Fake::one",))
"""A refresh that looked at one resource and found it as it should be."""

CONFIGURED = ConfigurationRun(check=False, hosts=(), results=())
"""A playbook run that changed nothing."""


def _answer(answers: Sequence[T | BaseException], call: int) -> T:
    """The answer of the `call`-th call, counted from one."""
    answer = answers[min(call, len(answers)) - 1]
    if isinstance(answer, BaseException):
        raise answer
    return answer


@dataclass
class FakeStackEngine(StackEngine):
    """A stack. Without `applies` it does exactly what the plan says and keeps its outputs."""

    plans: Sequence[Plan | BaseException] = (NO_CHANGES,)
    applies: Sequence[ApplyResult | BaseException] = ()
    refreshes: Sequence[RefreshResult | BaseException] = (IN_SYNC,)
    stack_outputs: Sequence[StackOutputs | BaseException] = (StackOutputs(values={}),)
    calls: list[str] = field(default_factory=list)
    """Names of the methods called, in order."""
    applied: list[Plan] = field(default_factory=list)
    """The plans that were to be carried out, the failed ones included."""

    def preview(self, on_progress: ProgressSink = ignore_progress) -> Plan:
        """Give the next plan."""
        on_progress(Progress(message="preview"))
        return _answer(self.plans, self._count("preview"))

    def apply(self, plan: Plan, on_progress: ProgressSink = ignore_progress) -> ApplyResult:
        """Record the plan; give the next result, or what the plan promised."""
        on_progress(Progress(message="apply"))
        self.applied.append(plan)
        call = self._count("apply")
        if self.applies:
            return _answer(self.applies, call)
        outputs = _answer(self.stack_outputs, self.calls.count("outputs") + 1)
        return ApplyResult(changes=plan.changes, unchanged=plan.unchanged, outputs=outputs)

    def detect(self, on_progress: ProgressSink = ignore_progress) -> RefreshResult:
        """Give the next refresh."""
        on_progress(Progress(message="detect"))
        return _answer(self.refreshes, self._count("detect"))

    def outputs(self) -> StackOutputs:
        """Give the next outputs."""
        return _answer(self.stack_outputs, self._count("outputs"))

    def _count(self, name: str) -> int:
        self.calls.append(name)
        return self.calls.count(name)


@dataclass
class FakeConfigurator(Configurator):
    """A playbook. The lost handlers of an answer are told as they would be while it runs."""

    applies: Sequence[ConfigurationRun | BaseException] = (CONFIGURED,)
    checks: Sequence[ConfigurationRun | BaseException] = (CONFIGURED.model_copy(update={"check": True}),)
    handlers_run: Sequence[HandlerNote] = ()
    """Told by every apply: handlers that run each time."""
    calls: list[str] = field(default_factory=list)
    """Names of the methods called, in order."""

    def apply(
        self, on_progress: ProgressSink = ignore_progress, on_handler: HandlerSink = ignore_handlers
    ) -> ConfigurationRun:
        """Give the next applied run."""
        on_progress(Progress(message="apply"))
        self.calls.append("apply")
        answer = self.applies[min(len(self.applies), self.calls.count("apply")) - 1]
        run = answer.done if isinstance(answer, HoldtrueError) else answer
        for lost in run.lost_handlers if isinstance(run, ConfigurationRun) else ():
            on_handler(HandlerNote(host=lost.host, handlers=(lost.handler,), is_open=True))
        for note in self.handlers_run:
            on_handler(note)
        return _answer(self.applies, self.calls.count("apply"))

    def check(self, on_progress: ProgressSink = ignore_progress) -> ConfigurationRun:
        """Give the next checked run."""
        on_progress(Progress(message="check"))
        self.calls.append("check")
        return _answer(self.checks, self.calls.count("check"))


@dataclass
class FakeHostChecks(HostChecks):
    """Check suites. Without `runs` one check passes on every host that is asked about."""

    runs: Sequence[Sequence[CheckResult] | BaseException] = ()
    asked: list[tuple[str, ...]] = field(default_factory=list)
    """Names of the hosts of each run."""

    def run(self, hosts: Sequence[Host], on_progress: ProgressSink = ignore_progress) -> tuple[CheckResult, ...]:
        """Give the next run's results."""
        self.asked.append(tuple(host.name for host in hosts))
        if self.runs:
            results = tuple(_answer(self.runs, len(self.asked)))
        else:
            results = tuple(
                CheckResult(
                    target=host.name, name="test_fake.py::test_fake", kind="testinfra", outcome=CheckOutcome.PASSED
                )
                for host in hosts
            )
        for done, result in enumerate(results, start=1):
            on_progress(Progress(message=f"{result.target} | {result.outcome}", done=done, total=len(results)))
        return results


@dataclass
class FakeProber(Prober):
    """HTTP answers by target, then by probe name; what is not named passes."""

    outcomes: Mapping[str, Sequence[CheckOutcome | BaseException]] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Target, probe name and URL of each question."""

    def probe(self, probe: HttpProbe, *, url: str, target: str) -> CheckResult:
        """Give the next outcome for this target or probe."""
        self.asked.append((target, probe.name, url))
        outcome = CheckOutcome.PASSED
        if target in self.outcomes:
            outcome = _answer(self.outcomes[target], sum(asked[0] == target for asked in self.asked))
        elif probe.name in self.outcomes:
            outcome = _answer(self.outcomes[probe.name], sum(asked[1] == probe.name for asked in self.asked))
        detail = "" if outcome is CheckOutcome.PASSED else "fake answer"
        return CheckResult(target=target, name=probe.name, kind="http", outcome=outcome, detail=detail)


@dataclass
class FakeTrafficSwitch(TrafficSwitch):
    """A load balancer that keeps what it is told; `failures` are raised instead, one a call, None for a good call."""

    current: dict[str, int]
    failures: Sequence[BaseException | None] = (None,)
    requests: list[dict[str, int]] = field(default_factory=list)
    """The weights of each call, the failed ones included."""
    idle: Sequence[Mapping[str, OutOfService]] = ({},)
    """What is out of service at each look."""
    adjustable: BaseException | None = None
    """Why weights cannot be set."""
    looks: int = 0

    def weights(self) -> dict[str, int]:
        """Give the weights as they are."""
        return dict(self.current)

    def set_weights(self, weights: Mapping[str, int]) -> None:
        """Set all of them or none.

        Raises:
            ResourceMissing: a server is not there, as with a real switch.
        """
        self.requests.append(dict(weights))
        _answer(self.failures, len(self.requests))
        for server in weights:
            if server not in self.current:
                raise ResourceMissing(f"no server {server!r}", where="fake switch")
        self.current.update(weights)

    def out_of_service(self) -> dict[str, OutOfService]:
        """Give the next look."""
        self.looks += 1
        return dict(_answer(self.idle, self.looks))

    def require_adjustable(self) -> None:
        """Raise `adjustable`, when it is given."""
        if self.adjustable is not None:
            raise self.adjustable


@dataclass
class FakeAdvisorySource(AdvisorySource):
    """An advisory source. `affected` names the ids of advisories by package, whatever its version."""

    affected: Mapping[str, Sequence[str]] = field(default_factory=dict)
    failures: Sequence[BaseException | None] = (None,)
    """Raised instead of an answer, one a call; None for a good call."""
    name: str = "fake"
    location: str = "memory"
    asked: list[tuple[Pin, ...]] = field(default_factory=list)
    """The pins of each question."""

    def ask(self, pins: Sequence[Pin]) -> SourceAnswer:
        """Tell the advisories of each pin."""
        self.asked.append(tuple(pins))
        _answer(self.failures, len(self.asked))
        return SourceAnswer(
            matches={
                pin: tuple(Match(AdvisoryRecord(id=identifier)) for identifier in self.affected[pin.name])
                for pin in pins
                if pin.name in self.affected
            }
        )
