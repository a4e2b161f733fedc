"""Traffic: moved in steps behind the gate, put back where it was when a step fails."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from prefect import task

from holdtrue.core.gate import admit
from holdtrue.core.hosts import placeholders
from holdtrue.core.template import fill
from holdtrue.core.traffic import plan_steps, require_in_service
from holdtrue.credentials.environment_lock import HeldLock
from holdtrue.errors import (
    HoldtrueError,
    LockLost,
    TrafficRefused,
    TrafficRestored,
    TrafficStranded,
    ValidationFailed,
    keep_done,
)
from holdtrue.models.base import Progress, ProgressLevel
from holdtrue.models.credentials import HostAccess
from holdtrue.models.environment import Environment
from holdtrue.models.stack import Plan
from holdtrue.models.traffic import OutOfService, TrafficShift, TrafficStep, TrafficSwitch
from holdtrue.models.validation import CheckOutcome, CheckResult, Verdict
from tasks.journal import staged, watch
from tasks.policy import MUTATES
from tasks.toolbox import toolbox
from tasks.validation import ask_probes

_LOOK_SECONDS: Final = 1.0


@task(name="shift traffic", **MUTATES)
@staged
def shift_traffic(
    environment: Environment, access: HostAccess, plan: Plan, verdict: Verdict, lock: HeldLock
) -> TrafficShift | None:
    """Move traffic onto the hosts step by step, with probes through the load balancer after each.

    None when the environment has no traffic to move.

    Raises:
        GateClosed: the verdict does not admit it.
        TrafficRefused: a host gets no request whatever its weight: in maintenance, drained, or down for longer than
            `health_wait_seconds`. Nothing was moved.
        LockLost: the environment is not this run's any more. The weights that it has set are put back, unless
            somebody else has changed them since.
        TrafficRestored: a probe or the switch failed, or a host went out of service, and the weights found at the
            start are back.
        TrafficStranded: a step failed and the weights could not be put back.
    """
    traffic = environment.traffic
    if traffic is None:
        return None

    def gate() -> None:
        admit(verdict, environment=environment.name, hosts=access.names, plan_digest=plan.digest, now=datetime.now(UTC))

    gate()
    values = placeholders(access.outputs)
    probes = [
        (probe, fill(probe.url, values, where=f"probe {probe.name}"), traffic.backend) for probe in traffic.probes
    ]
    switch = toolbox().traffic_switch(traffic, fill(traffic.socket, values, where="traffic.socket"))
    before = switch.weights()
    place = f"environment {environment.name}, backend {traffic.backend}"
    planned = plan_steps(before, access.names, traffic.steps, where=place)
    shift = _Shift(
        switch=switch,
        before=before,
        hosts=access.names,
        place=place,
        idle=_wait_for_service(switch, access.names, traffic.health_wait_seconds),
    )
    shift.begin()
    try:
        if not planned:
            _require_passed(ask_probes(probes), percent=100)
        for step in planned:
            gate()
            lock.require_held()
            switch.set_weights(step.weights)
            time.sleep(traffic.bake_seconds)
            checks = ask_probes(probes)
            shift.steps.append(TrafficStep(percent=step.percent, weights=dict(step.weights), checks=checks))
            require_in_service(switch.out_of_service(), access.names, where=shift.place)
            _require_passed(checks, percent=step.percent)
            told = f"{step.percent} % of traffic is on the hosts"
            watch(Progress(message=told, done=len(shift.steps), total=len(planned)))
    except LockLost as error:
        if shift.steps:
            shift.restore(unless_moved_from=shift.steps[-1].weights)
        with suppress(HoldtrueError):  # Where the weights cannot be read, the report has no word on traffic.
            error.done = shift.done(switch.weights())
        raise
    except HoldtrueError as error:
        shift.restore()
        raise TrafficRestored(
            f"traffic is back where it was: {error.what}",
            where=shift.place,
            next_step=f"{error.next_step or 'look at what is named'}, then provision again",
            done=shift.done(before),
        ) from error
    except BaseException as error:
        shift.restore()
        keep_done(error, shift.done(before))
        raise
    return shift.done(switch.weights())


@dataclass(frozen=True, slots=True)
class _Shift:
    """One shift under way. `idle` is what was out of service at its start."""

    switch: TrafficSwitch
    before: dict[str, int]
    hosts: Sequence[str]
    place: str
    idle: Mapping[str, OutOfService]
    steps: list[TrafficStep] = field(default_factory=list)

    def begin(self) -> None:
        """Refuse a shift onto a host that gets no request; say which other servers get none."""
        try:
            require_in_service(self.idle, self.hosts, where=self.place)
        except TrafficRefused as refused:
            refused.done = self.done(self.before)
            raise
        for name, reason in self.idle.items():
            message = f"{name} is {reason.state} and gets no request: the hosts have more traffic than the steps say"
            watch(Progress(message=message, level=ProgressLevel.WARNING))

    def done(self, after: Mapping[str, int]) -> TrafficShift:
        """What was done so far."""
        idle = {name: reason.state for name, reason in self.idle.items()}
        return TrafficShift(before=self.before, after=dict(after), steps=tuple(self.steps), out_of_service=idle)

    def restore(self, *, unless_moved_from: Mapping[str, int] | None = None) -> None:
        """Put the weights back; when even that fails, say so loudly, because nothing else will.

        Weights that are not `unless_moved_from` any more were set by somebody else since, and stay.
        """
        try:
            found = self.switch.weights()
            if unless_moved_from is not None and found != unless_moved_from:
                message = "somebody else has changed the weights: they are not put back"
                watch(Progress(message=message, level=ProgressLevel.WARNING))
            elif found != self.before:
                self.switch.set_weights(self.before)
                watch(Progress(message="traffic was put back where it was", level=ProgressLevel.WARNING))
        except HoldtrueError as error:
            weights = ", ".join(f"{name}={weight}" for name, weight in self.before.items())
            raise TrafficStranded(
                f"traffic could not be put back: {error.what} ({error.where})",
                where=f"{self.place}: weights were {weights}",
                next_step="set these weights by hand now",
                done=self.done(self.steps[-1].weights if self.steps else {}),
            ) from error


def _wait_for_service(switch: TrafficSwitch, hosts: Sequence[str], patience_seconds: float) -> dict[str, OutOfService]:
    """What is out of service, after a wait for hosts that may come back by themselves: a health check takes a while."""
    deadline = time.monotonic() + patience_seconds
    while True:
        idle = switch.out_of_service()
        awaited = [name for name in hosts if name in idle]
        may_come_back = awaited and not any(idle[name].by_operator for name in awaited)
        if not may_come_back or time.monotonic() >= deadline:
            return idle
        watch(Progress(message=f"waiting for the load balancer to take {', '.join(awaited)} into service"))
        time.sleep(min(_LOOK_SECONDS, max(0.0, deadline - time.monotonic())))


def _require_passed(checks: Sequence[CheckResult], *, percent: int) -> None:
    for check in checks:
        if check.outcome is not CheckOutcome.PASSED:
            raise ValidationFailed(
                f"with {percent} % of traffic on the hosts, probe {check.name} {check.outcome}: {check.detail}"
            )
