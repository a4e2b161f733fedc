"""The identity of a plan: one digest over its parts, and what differs between two plans."""

import hashlib
import json
from typing import Final

from holdtrue.models.stack import PlanPart, PlanParts

_NAMED: Final = 5
"""How many items of one part a message names; the others are counted."""

_ABOUT: Final = {
    PlanPart.PLACE: "another {names}",
    PlanPart.PROGRAM: "the program changed: {names}",
    PlanPart.CONFIGURATION: "the configuration changed: {names}",
    PlanPart.STATE: "the state changed: {names}",
    PlanPart.STEPS: "other steps are planned for {names}",
    PlanPart.INPUTS: "other inputs or secrets for {names}",
    PlanPart.OUTPUTS: "other output names: {names}",
}


def digest_of(parts: PlanParts) -> str:
    """SHA-256 over the parts in a canonical form."""
    document = {part.value: items for part, items in parts.items()}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def differences(before: PlanParts, after: PlanParts) -> tuple[str, ...]:
    """What differs between two plans, one line for each part; names only, never a value."""
    found = {part: _differing(before.get(part, {}), after.get(part, {})) for part in PlanPart}
    # A resource with other steps often has other inputs too: it is named once.
    found[PlanPart.INPUTS] -= found[PlanPart.STEPS]
    return tuple(_ABOUT[part].format(names=_listed(sorted(names))) for part, names in found.items() if names)


def _differing(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(_short, names[:_NAMED])) + more


def _short(name: str) -> str:
    """`type name` of a resource's URN; any other name as it is."""
    parts = name.split("::", 2)
    return parts[2].replace("::", " ") if name.startswith("urn:") and len(parts) > 2 else name  # noqa: PLR2004 - see URN
