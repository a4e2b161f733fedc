"""The data that an apply needs from its preview, kept only in the memory of this process.

A `Plan` is a small value that tasks pass on. The update plan that the engine enforces is larger, and its secrets are
encrypted with the data key of the same settings file. If it is lost, the preview is repeated; the apply stays safe.
"""

import json
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final

from holdtrue.adapters.pulumi.messages import UNCHANGING, UNKNOWN, Json, Step
from holdtrue.models.stack import PlanParts

_KEPT: Final = 8
_UNKNOWN_OUTPUT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""An update plan's placeholder for an unknown value, which matches any value (plugin/rpc.go)."""

_MARKERS: Final = frozenset({"replace"})
"""Operations that announce others on the same URN and carry out nothing themselves."""

Steps = Mapping[str, tuple[str, ...]]
"""The engine's operations for each URN."""


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """The data that an apply needs from its preview."""

    content: bytes | None
    """The update plan file; None if the engine does not enforce one."""
    settings: str
    """The stack settings with which the plan's secrets were encrypted."""
    stack_absent: bool
    """The backend had no such stack: the apply creates it."""
    steps: Steps
    """The steps that the engine announced, without those that change nothing."""
    outputs: Mapping[str, Json]
    """The stack's outputs as far as the preview knew them."""
    parts: PlanParts = field(default_factory=dict)
    """What the plan's digest was made of."""

    def urns(self) -> frozenset[str]:
        """Every resource in the update plan."""
        plan: dict[str, dict[str, object]] = json.loads(self.content or b"{}")
        return frozenset(plan.get("resourcePlans", {}))

    def undone(self, seen: Iterable[Step]) -> tuple[str, ...]:
        """URNs with a planned step that was not carried out; a planned update may turn out to be unnecessary.

        Components and the stack count as done once announced; their end is reported only together with outputs.
        """
        done = {(step.urn, step.operation) for step in seen if step.phase == "done" or not step.custom}
        return tuple(
            sorted(
                urn
                for urn, operations in self.steps.items()
                for operation in {*operations} - _MARKERS
                if (urn, operation) not in done and not (operation == "update" and (urn, "same") in done)
            )
        )


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
    """Keep `plan`; only the newest eight are kept."""
    with _lock:
        _plans.pop(key, None)
        _plans[key] = plan
        while len(_plans) > _KEPT:
            _plans.popitem(last=False)


def take_plan(key: PlanKey) -> SavedPlan | None:
    """Return the plan and forget it: after an apply, successful or not, the state is a different one."""
    with _lock:
        return _plans.pop(key, None)


def changing_steps(announced: Iterable[Step]) -> Steps:
    """The operations that change something, by URN."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for step in announced:
        if step.operation not in UNCHANGING:
            found[step.urn][step.operation] = None
    return {urn: tuple(operations) for urn, operations in found.items()}


def without_output_values(content: bytes) -> bytes:
    """The update plan with any value allowed for the outputs of the stack and of components.

    The engine compares these with the preview's values too, and fails without a message if one differs, although
    outputs change no resource: `datetime.now()`, or an address that a provider's dry run only guesses. Inputs and
    operations stay as planned. Names of outputs that only the apply adds cannot be allowed in advance (checkDiff in
    pkg/resource/deploy/plan.go, v3.259).
    """
    plan: dict[str, Any] = json.loads(content)
    for resource in plan.get("resourcePlans", {}).values():
        goal = resource.get("goal")
        if not goal or goal.get("custom"):
            continue
        planned = goal.get("outputDiff") or {}
        added = planned.get("adds") or {}
        # An update to an unknown value also allows the value to stay or to disappear.
        kept = {*(resource.get("state") or {}), *(planned.get("updates") or {}), *(planned.get("deletes") or [])}
        goal["outputDiff"] = {
            "adds": dict.fromkeys(sorted(added), _UNKNOWN_OUTPUT),
            "updates": dict.fromkeys(sorted(kept - added.keys()), _UNKNOWN_OUTPUT),
        }
    return json.dumps(plan).encode()


def differing_outputs(previewed: Mapping[str, Json], applied: Mapping[str, Json]) -> tuple[str, ...]:
    """Names of outputs whose value after the apply differs from the previewed one."""
    return tuple(
        name
        for name in sorted(previewed.keys() | applied.keys())
        if not (name in previewed and _may_be(previewed[name], applied.get(name)))
    )


def _may_be(previewed: Json, applied: Json) -> bool:
    """Whether the applied value matches the previewed one, which may contain placeholders."""
    match previewed, applied:
        case str(), _ if previewed == UNKNOWN:
            return True
        case dict(), dict():
            return previewed.keys() == applied.keys() and all(_may_be(previewed[key], applied[key]) for key in applied)
        case list(), list():
            return len(previewed) == len(applied) and all(map(_may_be, previewed, applied))
        case _:
            return previewed == applied
