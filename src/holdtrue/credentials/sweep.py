"""Ends what dead runs left: reads the ledger, revokes at the server, and looks again to prove it."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from holdtrue.adapters.vault import VaultSession
from holdtrue.core.leases import is_dead
from holdtrue.credentials.shared import SharedVault
from holdtrue.credentials.vault import VaultCredentials
from holdtrue.errors import HoldtrueError, ResourceMissing
from holdtrue.models.lease import Holder, Lease, LeaseKind, LeaseLedger, LeaseState
from holdtrue.models.sweep import SweepOutcome, SweepReport, SweptLease
from holdtrue.runtime.liveness import liveness

SILENCE_SECONDS: Final = 45.0
"""A run on another machine that did not tell the ledger for this long that it lives is dead; it does so every 10 s."""

KEPT_DAYS: Final = 30
"""How long the ledger keeps runs of which nothing is left."""


def sweep(ledger: LeaseLedger, vaults: Sequence[VaultCredentials]) -> SweepReport:
    """Revoke every lease of every dead run, the latest first, through the login that knows its server.

    A lease of a live run, and one that the ledger does not list, is never touched. What another sweep settles at the
    same time is in the report of one of the two.

    Raises:
        HoldtrueError: the ledger cannot be read. What fails at a server is an outcome of its lease.
    """
    started_at, clock = datetime.now(UTC), time.monotonic()
    left = ledger.unsettled()
    dead = [
        holding
        for holding in left
        if is_dead(holding.holder, liveness(holding.holder.process), started_at, SILENCE_SECONDS)
    ]
    logins = {(vault.server().address, vault.server().namespace): vault for vault in vaults}
    swept = [
        found
        for holding in dead
        for lease in sorted(holding.leases, key=lambda lease: lease.requested_at, reverse=True)
        if (found := _settle(ledger, holding.holder, lease, logins.get((lease.server, lease.namespace)), started_at))
    ]
    for holding in dead:
        ledger.close_holder(holding.holder.id, started_at)
    ledger.prune(started_at - timedelta(days=KEPT_DAYS))
    return SweepReport(
        leases=tuple(swept),
        dead_runs=len(dead),
        live_runs=len(left) - len(dead),
        started_at=started_at,
        duration_seconds=round(time.monotonic() - clock, 3),
    )


def _settle(
    ledger: LeaseLedger, holder: Holder, lease: Lease, vault: VaultCredentials | None, now: datetime
) -> SweptLease | None:
    """What became of the lease; None when another sweep has told it."""
    outcome, detail = _end(lease, vault, now)
    state = {
        SweepOutcome.REVOKED: LeaseState.REVOKED,
        SweepOutcome.GONE: LeaseState.EXPIRED,
        SweepOutcome.LOST: LeaseState.LOST,
    }.get(outcome)
    if state is not None and not ledger.settle(lease.id, state):
        return None
    return SweptLease(
        run=holder.run,
        run_name=holder.run_name,
        host=holder.process.host,
        kind=lease.kind,
        server=lease.server,
        path=lease.path,
        reference=lease.reference,
        expires_at=lease.expires_at,
        outcome=outcome,
        detail=detail,
    )


def _end(lease: Lease, vault: VaultCredentials | None, now: datetime) -> tuple[SweepOutcome, str]:
    """What became of the lease, and why."""
    is_over = lease.expires_at is not None and lease.expires_at < now
    if lease.state is LeaseState.REQUESTED:
        return SweepOutcome.LOST, "asked for, and the answer was never written down; nothing is known to revoke it by"
    if not lease.kind.revocable:
        return (SweepOutcome.GONE, "expired") if is_over else (SweepOutcome.IRREVOCABLE, "ends by itself")
    if vault is None:
        return SweepOutcome.FAILED, "no Vault login of this sweep is for this server and namespace: name its block"
    try:
        return _revoke(lease, vault.connect())
    except HoldtrueError as error:
        return SweepOutcome.FAILED, str(error)


def _revoke(lease: Lease, vault: SharedVault) -> tuple[SweepOutcome, str]:
    find, revoke = _ways(lease)
    if vault.call(find) is None:
        return SweepOutcome.GONE, "the server does not know it any more"
    try:
        vault.call(revoke)
    except ResourceMissing:
        return SweepOutcome.GONE, "it ended meanwhile"
    if vault.call(find) is not None:
        return SweepOutcome.FAILED, "the server took the revocation, but still knows it"
    return SweepOutcome.REVOKED, "looked up afterwards: not there"


def _ways(lease: Lease) -> tuple[Callable[[VaultSession], object | None], Callable[[VaultSession], None]]:
    """How to find it (None when it is not there), and how to revoke it."""
    reference = lease.reference
    match lease.kind:
        case LeaseKind.TOKEN:
            return lambda vault: vault.lookup_accessor(reference), lambda vault: vault.revoke_accessor(reference)
        case LeaseKind.CERTIFICATE:
            mount = lease.path.split("/issue/")[0]
            return (
                lambda vault: vault.valid_certificate(mount, reference),
                lambda vault: vault.revoke_certificate(mount, reference),
            )
        case _:
            return lambda vault: vault.lookup_lease(reference), lambda vault: vault.revoke_lease(reference)
