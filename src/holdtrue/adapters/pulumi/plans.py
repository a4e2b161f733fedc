"""The engine's own update plans between a preview and its apply, kept in this process's memory only.

A `Plan` is a small value that crosses tasks; the update plan that the engine enforces is larger, and its secrets are
ciphertext under the data key of the same settings file. Losing one costs a second preview, never safety.
"""

import json
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Final

_KEPT: Final = 8


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """What an apply needs of its preview."""

    content: bytes
    """The update plan file."""
    settings: str
    """The stack settings that the plan's ciphertexts belong to."""
    stack_absent: bool
    """The backend had no such stack: the apply makes it."""

    def urns(self) -> frozenset[str]:
        """Every resource that the plan speaks of."""
        plan: dict[str, dict[str, object]] = json.loads(self.content)
        return frozenset(plan.get("resourcePlans", {}))


@dataclass(frozen=True, slots=True)
class PlanKey:
    """Which plan of which stack."""

    project: str
    stack: str
    backend_url: str
    digest: str


_plans: OrderedDict[PlanKey, SavedPlan] = OrderedDict()
_lock = Lock()


def keep_plan(key: PlanKey, plan: SavedPlan) -> None:
    """Remember `plan`; the oldest beyond eight are forgotten."""
    with _lock:
        _plans.pop(key, None)
        _plans[key] = plan
        while len(_plans) > _KEPT:
            _plans.popitem(last=False)


def take_plan(key: PlanKey) -> SavedPlan | None:
    """Hand the plan out once: state has moved on after an apply, whether it succeeded or not."""
    with _lock:
        return _plans.pop(key, None)
