"""Reads an exported state: which resources are only read, what they ignore, and pending creates. Pure.

Source of the fields: ResourceV3 and OperationV2 in pulumi sdk/go/common/apitype/core.go (v3.259).
"""

from collections.abc import Iterator
from typing import Any, Final

from holdtrue.adapters.pulumi.messages import Recorded, State

_PER_MESSAGE: Final = 1000
_UNRESOLVED: Final = frozenset({"creating", "importing"})
"""A resource that was being updated, deleted or read is in the state, and the next refresh reads it. One that was being
created or imported is not: the engine keeps the pending operation and never checks it (backend/snapshot.go)."""


def state_messages(deployment: dict[str, Any] | None) -> Iterator[State]:
    """The messages for a deployment, as `pulumi stack export` prints it; at least one."""
    content = deployment or {}
    recorded = [
        Recorded(
            urn=resource["urn"],
            external=bool(resource.get("external")),
            ignored_paths=tuple(resource.get("ignoreChanges") or ()),
        )
        for resource in content.get("resources") or []
        if resource.get("custom")
    ]
    cut_short = sorted(
        {
            operation["resource"]["urn"]
            for operation in content.get("pending_operations") or []
            if operation["type"] in _UNRESOLVED
        }
    )
    yield State(resources=tuple(recorded[:_PER_MESSAGE]), cut_short=tuple(cut_short))
    for start in range(_PER_MESSAGE, len(recorded), _PER_MESSAGE):
        yield State(resources=tuple(recorded[start : start + _PER_MESSAGE]))
