"""Leases and tokens as such: how long they live, longer, or no more."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from holdtrue.adapters.vault.connection import VaultConnection, data_of, not_vault
from holdtrue.adapters.vault.failures import Call, LeaseGone

T = TypeVar("T")


class Leases(VaultConnection):
    """Looks up, renews and revokes what a lease id or an accessor names."""

    def renew_lease(self, lease_id: str, increment_seconds: int) -> int:
        """Ask for this much longer life from now; returns what was granted, which may be less.

        Raises:
            LeaseGone: it has ended.
        """
        call = Call("renew the lease", "sys/leases/renew", "update")
        granted = self.write(call, {"lease_id": lease_id, "increment": increment_seconds}).get("lease_duration")
        if not isinstance(granted, int):
            raise not_vault(self.server, call)
        return granted

    def revoke_lease(self, lease_id: str) -> None:
        """End it and what it stands for, and return when that is done.

        Raises:
            LeaseGone: it has ended; OpenBao takes the revocation of a lease that it does not know, though.
        """
        self.send(Call("revoke the lease", "sys/leases/revoke", "update"), {"lease_id": lease_id, "sync": True})

    def lookup_lease(self, lease_id: str) -> int | None:
        """Seconds that it still lives; None when it is gone."""
        call = Call("look up the lease", "sys/leases/lookup", "update")
        return _unless_gone(lambda: self._ttl(call, {"lease_id": lease_id}))

    def lookup_accessor(self, accessor: str) -> int | None:
        """Seconds that the token with this accessor still lives; None when it is gone."""
        call = Call("look up the token", "auth/token/lookup-accessor", "update")
        return _unless_gone(lambda: self._ttl(call, {"accessor": accessor}))

    def revoke_accessor(self, accessor: str) -> None:
        """End the token with this accessor, and with it its leases.

        Raises:
            LeaseGone: it has ended; OpenBao takes the revocation of an accessor that it does not know, though.
        """
        self.send(Call("revoke the token", "auth/token/revoke-accessor", "update"), {"accessor": accessor})

    def capabilities(self, paths: Iterable[str]) -> dict[str, frozenset[str]]:
        """What this token may do on each API path: `read`, `update`, ..., or `deny` alone."""
        call = Call("ask for capabilities", "sys/capabilities-self", "update")
        asked = list(paths)
        data = data_of(self.write(call, {"paths": asked}), self.server, call)
        return {path: frozenset(data.get(path) or ("deny",)) for path in asked}

    def _ttl(self, call: Call, body: dict[str, str]) -> int:
        ttl = data_of(self.write(call, body), self.server, call).get("ttl")
        if not isinstance(ttl, int):
            raise not_vault(self.server, call)
        return ttl


def _unless_gone(question: Callable[[], T]) -> T | None:
    """None only by Vault's own word: a 404 of what stands before it proves nothing."""
    try:
        return question()
    except LeaseGone:
        return None
