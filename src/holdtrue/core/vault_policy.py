"""Least-privilege Vault policies as HCL, from what references say they need."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

SWEEP_CAPABILITIES: Final[Mapping[str, str]] = {
    "auth/token/lookup-accessor": "update",
    "auth/token/lookup-self": "read",
    "auth/token/renew-self": "update",
    "auth/token/revoke-accessor": "update",
    "auth/token/revoke-self": "update",
    "sys/leases/lookup": "update",
    "sys/leases/revoke": "update",
}
"""What a sweep needs: to find and end what an accessor or a lease id names, and nothing that reads a secret."""

PREFLIGHT_CAPABILITIES: Final[Mapping[str, str]] = {"sys/capabilities-self": "update"}
"""What a preflight needs besides: to ask what its own token may do."""


def policy(needs: Iterable[Mapping[str, str]]) -> str:
    """One `path` stanza for each path, sorted, with every capability that anyone needs on it."""
    granted: dict[str, set[str]] = defaultdict(set)
    for need in needs:
        for path, capability in need.items():
            granted[path].add(capability)
    return "\n".join(policy_line(path, granted[path]) for path in sorted(granted))


def policy_line(path: str, capabilities: Iterable[str]) -> str:
    """`path "secret/data/app" { capabilities = ["read"] }`."""
    listed = ", ".join(f'"{capability}"' for capability in sorted(capabilities))
    return f'path "{path}" {{ capabilities = [{listed}] }}'
