"""Reads an exported state: which resources are only read, what they ignore, pending creates, and its hashes. Pure.

Source of the fields: ResourceV3 and OperationV2 in pulumi sdk/go/common/apitype/core.go (v3.259).
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from holdtrue.adapters.pulumi.hashes import keyed_hash
from holdtrue.adapters.pulumi.messages import Json, Recorded, State

_PER_MESSAGE: Final = 500
_TIMES: Final = frozenset({"created", "modified"})
_UNRESOLVED: Final = frozenset({"creating", "importing"})
"""A resource that was being updated, deleted or read is in the state, and the next refresh reads it. One that was being
created or imported is not: the engine keeps the pending operation and never checks it (backend/snapshot.go)."""


def state_messages(deployment: dict[str, Any] | None, key: bytes = b"") -> Iterator[State]:
    """At least one message for a deployment, as `pulumi stack export` prints it; hashes only with a key."""
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
    hashes = [*state_hashes(content, key).items()] if key else []
    for start in range(0, len(hashes), _PER_MESSAGE):
        yield State(resources=(), hashes=dict(hashes[start : start + _PER_MESSAGE]))


def state_hashes(deployment: dict[str, Any], key: bytes) -> dict[str, str]:
    """A keyed hash of what the state records about each resource, without times; and of the pending operations.

    Secrets count as their ciphertext, which changes only when they are written again.
    """
    recorded: defaultdict[str, list[Json]] = defaultdict(list)
    for resource in deployment.get("resources") or []:
        # A replaced resource that still has to be deleted has the same URN.
        recorded[resource["urn"]].append({name: value for name, value in resource.items() if name not in _TIMES})
    hashes = {urn: keyed_hash(key, records) for urn, records in recorded.items()}
    if pending := deployment.get("pending_operations"):
        hashes["pending operations"] = keyed_hash(key, pending)
    return hashes
