"""Traffic: moved in steps behind the gate, put back where it was when a step fails."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from prefect import task

from holdtrue.core.gate import admit
from holdtrue.core.hosts import placeholders
from holdtrue.core.template import fill
from holdtrue.core.traffic import plan_steps
from holdtrue.credentials.environment_lock import HeldLock
from holdtrue.errors import (
    HoldtrueError,
    LockLost,
    TrafficRestored,
    TrafficStranded,
    ValidationFailed,
    keep_done,
)
from holdtrue.models.base import Progress, ProgressLevel
from holdtrue.models.credentials import HostAccess
from holdtrue.models.environment import Environment
from holdtrue.models.stack import Plan
from holdtrue.models.traffic import TrafficShift, TrafficStep, TrafficSwitch
from holdtrue.models.validation import CheckOutcome, CheckResult, Verdict
from tasks.journal import staged, watch
from tasks.policy import MUTATES
from tasks.toolbox import toolbox
from tasks.validation import ask_probes


@task(name="shift traffic", **MUTATES)
@staged
def shift_traffic(
    environment: Environment, access: HostAccess, plan: Plan, verdict: Verdict, lock: HeldLock
) -> TrafficShift | None:
    """Move traffic onto the hosts step by step, with probes through the load balancer after each.

    None when the environment has no traffic to move.

    Raises:
        GateClosed: the verdict does not admit it.
        LockLost: the environment is not this run's any more. The weights that it has set are put back, unless
            somebody else has changed them since.
        TrafficRestored: a probe or the switch failed and the weights found at the start are back.
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
    planned = plan_steps(before, access.names, traffic.steps)
    place = f"environment {environment.name}, backend {traffic.backend}"
    steps: list[TrafficStep] = []
    try:
        if not planned:
            _require_passed(ask_probes(probes), percent=100)
        for step in planned:
            gate()
            lock.require_held()
            switch.set_weights(step.weights)
            time.sleep(traffic.bake_seconds)
            checks = ask_probes(probes)
            steps.append(TrafficStep(percent=step.percent, weights=dict(step.weights), checks=checks))
            _require_passed(checks, percent=step.percent)
            watch(Progress(message=f"{step.percent} % of traffic is on the hosts", done=len(steps), total=len(planned)))
    except LockLost as error:
        if steps:
            _restore(switch, before, place, steps, unless_moved_from=steps[-1].weights)
        with suppress(HoldtrueError):  # Where the weights cannot be read, the report has no word on traffic.
            error.done = TrafficShift(before=before, after=switch.weights(), steps=tuple(steps))
        raise
    except HoldtrueError as error:
        _restore(switch, before, place, steps)
        raise TrafficRestored(
            f"traffic is back where it was: {error.what}",
            where=place,
            next_step="look at what is named, then provision again",
            done=TrafficShift(before=before, after=before, steps=tuple(steps)),
        ) from error
    except BaseException as error:
        _restore(switch, before, place, steps)
        keep_done(error, TrafficShift(before=before, after=before, steps=tuple(steps)))
        raise
    return TrafficShift(before=before, after=switch.weights(), steps=tuple(steps))


def _require_passed(checks: Sequence[CheckResult], *, percent: int) -> None:
    for check in checks:
        if check.outcome is not CheckOutcome.PASSED:
            raise ValidationFailed(
                f"with {percent} % of traffic on the hosts, probe {check.name} {check.outcome}: {check.detail}"
            )


def _restore(
    switch: TrafficSwitch,
    before: dict[str, int],
    place: str,
    steps: Sequence[TrafficStep],
    *,
    unless_moved_from: Mapping[str, int] | None = None,
) -> None:
    """Put the weights back; when even that fails, say so loudly, because nothing else will.

    Weights that are not `unless_moved_from` any more were set by somebody else since, and stay.
    """
    try:
        found = switch.weights()
        if unless_moved_from is not None and found != unless_moved_from:
            watch(
                Progress(
                    message="somebody else has changed the weights: they are not put back",
                    level=ProgressLevel.WARNING,
                )
            )
        elif found != before:
            switch.set_weights(before)
            watch(Progress(message="traffic was put back where it was", level=ProgressLevel.WARNING))
    except HoldtrueError as error:
        raise TrafficStranded(
            f"traffic could not be put back: {error.what} ({error.where})",
            where=f"{place}: weights were {', '.join(f'{name}={weight}' for name, weight in before.items())}",
            next_step="set these weights by hand now",
            done=TrafficShift(before=before, after=dict(steps[-1].weights) if steps else {}, steps=tuple(steps)),
        ) from error
