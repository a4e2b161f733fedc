"""Traffic shares and the switch's seam."""

from collections.abc import Mapping
from typing import Protocol

from pydantic import Field

from holdtrue.models.base import Value
from holdtrue.models.validation import CheckResult


class TrafficStep(Value):
    """One step and what the probes said after it."""

    percent: int = Field(ge=0, le=100)
    weights: dict[str, int]
    checks: tuple[CheckResult, ...]


class TrafficShift(Value):
    """How traffic moved."""

    before: dict[str, int] = Field(description="Server weights found at the start.")
    after: dict[str, int] = Field(description="Server weights read back at the end.")
    steps: tuple[TrafficStep, ...]

    @property
    def moved(self) -> bool:
        """Whether any weight changed."""
        return self.before != self.after


class TrafficSwitch(Protocol):
    """A load balancer whose server weights can be read and set.

    Raises ResourceMissing when the switch or one of the servers is gone, ServiceUnreachable when it does not answer,
    RejectedError when it refuses a weight.
    """

    def weights(self) -> dict[str, int]:
        """Weight of each server of the backend, as the switch itself reports it."""
        ...

    def set_weights(self, weights: Mapping[str, int]) -> None:
        """Set the given servers' weights, all or an error that names the first one refused."""
        ...
