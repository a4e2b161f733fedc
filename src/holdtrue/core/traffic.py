"""The weights of traffic steps, and which servers can take traffic."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from holdtrue.errors import ResourceMissing, TrafficRefused
from holdtrue.models.traffic import OutOfService

_FULL_WEIGHT = 240
"""Scale of the weights: HAProxy takes 0 to 256, and 240 divides evenly among 1 to 6, 8, 10 and 12 servers."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step: the share of traffic on the targets and the weights that give it."""

    percent: int
    weights: Mapping[str, int]


def plan_steps(
    before: Mapping[str, int], targets: Collection[str], percents: Sequence[int], *, where: str
) -> tuple[PlannedStep, ...]:
    """The remaining steps, given the current weights; none when all traffic is on the targets in equal parts.

    Raises:
        ResourceMissing: a target is not a server of the backend.
    """
    missing = sorted(set(targets) - set(before))
    if missing:
        raise ResourceMissing(
            f"the load balancer has no server named {', '.join(missing)}; it has {', '.join(sorted(before)) or 'none'}",
            where=where,
            next_step="in the load balancer's configuration (haproxy.cfg), rename or add servers of this backend so"
            " that they match the stack's host names",
        )
    if _share(before, targets) == 1.0 and len({before[name] for name in targets}) == 1:
        return ()
    ahead = [percent for percent in percents if percent / 100 > _share(before, targets)] or [percents[-1]]
    return tuple(PlannedStep(percent, _weights(before, targets, percent)) for percent in ahead)


def require_in_service(out_of_service: Mapping[str, OutOfService], targets: Collection[str], *, where: str) -> None:
    """Refuse to move traffic to servers that get no requests: a weight on them has no effect.

    Raises:
        TrafficRefused: names each of them, its state, and how it gets requests again.
    """
    idle = {name: out_of_service[name] for name in sorted(targets) if name in out_of_service}
    if idle:
        states = "; ".join(f"{name} is {reason.state}" for name, reason in idle.items())
        raise TrafficRefused(
            f"the load balancer sends no requests to {', '.join(idle)}, whatever the weight: {states}",
            where=where,
            next_step="; ".join(dict.fromkeys(reason.next_step for reason in idle.values())),
        )


def require_unchanged(found: Mapping[str, int], wanted: Mapping[str, int], *, where: str) -> None:
    """Refuse to report weights that are not in effect any more: a reload of the load balancer resets them.

    Raises:
        TrafficRefused: names the weights that were found and those that were set.
    """
    if found != wanted:
        raise TrafficRefused(
            f"the load balancer has the weights {weights_text(found)} instead of {weights_text(wanted)}",
            where=where,
            next_step="find out what else sets weights on this load balancer, or has reloaded it",
        )


def weights_text(weights: Mapping[str, int]) -> str:
    """`standby=0, web-1=240`."""
    return ", ".join(f"{name}={weight}" for name, weight in weights.items()) or "none"


def _share(weights: Mapping[str, int], targets: Collection[str]) -> float:
    total = sum(weights.values())
    return sum(weights[name] for name in targets) / total if total else 0.0


def _weights(before: Mapping[str, int], targets: Collection[str], percent: int) -> dict[str, int]:
    """Targets share `percent` evenly; the others keep their proportions of the rest (evenly when all were zero)."""
    others = {name: weight for name, weight in before.items() if name not in targets}
    if others and not any(others.values()):
        others = dict.fromkeys(others, 1)
    shares = dict.fromkeys(targets, percent / len(targets))
    shares |= {name: (100 - percent) * weight / sum(others.values()) for name, weight in others.items()}
    largest = max(shares.values())
    # A server with a share must never be rounded down to none.
    return {name: max(round(share / largest * _FULL_WEIGHT), 1) if share else 0 for name, share in shares.items()}
