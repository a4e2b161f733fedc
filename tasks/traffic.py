"""Traffic: moved in steps behind the gate, put back where it was when a step fails."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from prefect import task

from holdtrue.core.gate import admit
from holdtrue.core.hosts import placeholders
from holdtrue.core.template import fill_path, fill_url
from holdtrue.core.traffic import plan_steps, require_in_service
from holdtrue.credentials.environment_lock import HeldLock
from holdtrue.errors import ValidationFailed
from holdtrue.models.base import Progress, ProgressLevel
from holdtrue.models.credentials import HostAccess
from holdtrue.models.environment import Environment
from holdtrue.models.stack import Plan
from holdtrue.models.traffic import OutOfService, TrafficShift
from holdtrue.models.validation import CheckOutcome, CheckResult, Verdict
from tasks.journal import staged, watch
from tasks.policy import MUTATES
from tasks.toolbox import toolbox
from tasks.traffic_frame import ShiftUnderWay, traffic_frame
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
        GateClosed: the verdict does not admit it. Nothing was moved.
        TrafficRefused: a host gets no request whatever its weight: in maintenance, drained, or down for longer than
            `health_wait_seconds`. Nothing was moved.
        TrafficRestored, TrafficStranded, LockLost: as in `traffic_frame`.
        HoldtrueError: the load balancer does not answer, or a probe fails when all traffic is on the hosts already.
            Nothing was moved.
    """
    traffic = environment.traffic
    if traffic is None:
        return None
    values = placeholders(access.outputs)
    probes = [
        (probe, fill_url(probe.url, values, where=f"probe {probe.name}"), traffic.backend) for probe in traffic.probes
    ]
    switch = toolbox().traffic_switch(traffic, fill_path(traffic.socket, values, where="traffic.socket"))
    place = f"environment {environment.name}, backend {traffic.backend}"

    def gate() -> None:
        admit(verdict, environment=environment.name, hosts=access.names, plan_digest=plan.digest, now=datetime.now(UTC))

    with traffic_frame(switch, access.names, place=place, require_lock=lock.require_held) as shift:
        gate()
        planned = plan_steps(shift.read_weights(), access.names, traffic.steps, where=place)
        _require_service(shift, access.names, traffic.health_wait_seconds)
        if not planned:
            _require_passed(ask_probes(probes), percent=100)
        for step in planned:
            gate()
            shift.set_weights(step.weights)
            time.sleep(traffic.bake_seconds)
            checks = ask_probes(probes)
            done = shift.record(step.percent, checks)
            _require_passed(checks, percent=step.percent)
            message = f"{step.percent} % of traffic is on the hosts"
            watch(Progress(message=message, done=done, total=len(planned)))
        return shift.finish()


def _require_service(shift: ShiftUnderWay, hosts: Sequence[str], patience_seconds: float) -> None:
    """Refuse a shift onto a host that gets no request; say which other servers get none."""
    idle = _wait_for_service(shift, hosts, patience_seconds)
    require_in_service(idle, hosts, where=shift.place)
    for name, reason in idle.items():
        message = f"{name} is {reason.state} and gets no request: the hosts have more traffic than the steps say"
        watch(Progress(message=message, level=ProgressLevel.WARNING))


def _wait_for_service(shift: ShiftUnderWay, hosts: Sequence[str], patience_seconds: float) -> dict[str, OutOfService]:
    """What is out of service, after a wait for hosts that may come back by themselves: a health check takes a while."""
    deadline = time.monotonic() + patience_seconds
    while True:
        idle = shift.read_out_of_service()
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
