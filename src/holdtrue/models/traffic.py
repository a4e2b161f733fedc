"""Traffic shares and the switch's seam."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Protocol

from pydantic import Field

from holdtrue.models.base import Value
from holdtrue.models.validation import CheckResult


class OutOfService(Value):
    """Why a server gets no requests, whatever its weight."""

    state: str = Field(description="In words: `in maintenance (MAINT)`.")
    by_operator: bool = Field(
        description="Whether an operator has set this state. If not, the server may come back by itself."
    )
    next_step: str = Field(description="How it gets requests again.")


class TrafficStep(Value):
    """One step and what the probes said after it."""

    percent: int = Field(ge=0, le=100)
    weights: dict[str, int]
    checks: tuple[CheckResult, ...]


class TrafficShift(Value):
    """How traffic moved."""

    before: dict[str, int] = Field(description="Server weights found at the start.")
    after: dict[str, int] = Field(
        description="Weights read back at the end; if they could not be read, what the run set last or tried to set."
    )
    steps: tuple[TrafficStep, ...]
    out_of_service: dict[str, str] = Field(
        default={}, description="Servers that got no request whatever their weight, with their states."
    )

    @property
    def changed(self) -> bool:
        """Whether any weight changed."""
        return self.before != self.after

    @property
    def moved(self) -> bool:
        """Whether requests go elsewhere now: the shares changed among the servers that get any."""
        return self._shares(self.before) != self._shares(self.after)

    def _shares(self, weights: Mapping[str, int]) -> dict[str, Fraction]:
        serving = {name: weight for name, weight in weights.items() if weight and name not in self.out_of_service}
        total = sum(serving.values())
        return {name: Fraction(weight, total) for name, weight in serving.items()}


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

    def out_of_service(self) -> dict[str, OutOfService]:
        """The servers that get no requests whatever their weight: in maintenance, down, drained."""
        ...

    def require_adjustable(self) -> None:
        """Check that weights can be set, without setting any.

        Raises:
            AccessDenied: this access may only read.
            RejectedError: the switch balances in a way that weights do not change.
        """
        ...
