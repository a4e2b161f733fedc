"""Ends what dead runs left: reads the ledger, revokes at the server, and checks there that it is gone.

It also removes their private folders on this machine.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from holdtrue.adapters.vault import ForeignAnswer, LeaseGone, VaultSession
from holdtrue.core.leases import vitality
from holdtrue.credentials.entry import SILENCE_SECONDS
from holdtrue.credentials.shared import SharedVault
from holdtrue.credentials.vault import VaultCredentials
from holdtrue.errors import HoldtrueError, ResourceMissing, SettingInvalid, TransientError
from holdtrue.models.lease import Holder, Holding, Lease, LeaseKind, LeaseLedger, LeaseState, Liveness, Vitality
from holdtrue.models.sweep import FolderOutcome, SweepOutcome, SweepReport, SweptFolder, SweptLease
from holdtrue.runtime.folder import private_parent
from holdtrue.runtime.leftovers import remove_leftovers
from holdtrue.runtime.liveness import liveness, observe

KEPT_DAYS: Final = 30
"""How long the ledger keeps runs of which nothing is left."""

LOST_HOURS: Final = 24
"""How long a lease whose request was never answered may live: nothing that a run gets should live longer."""

_CLOCKS_SECONDS: Final = 300
"""How far the clocks of two machines may differ: an expiry by another clock counts only after this."""

_Ended = tuple[SweepOutcome, str]
"""The outcome of one lease, and why."""

_SETTLED: Final = {
    SweepOutcome.REVOKED: LeaseState.REVOKED,
    SweepOutcome.GONE: LeaseState.EXPIRED,
    SweepOutcome.IRREVOCABLE: LeaseState.LEFT,
}
"""The ledger's state for each outcome that needs no further sweep."""


def sweep(ledger: LeaseLedger, vaults: Sequence[VaultCredentials]) -> SweepReport:
    """Revoke every lease of every dead run, the latest first and tokens last, through the login that knows its server.

    Leases of live runs, and leases that the ledger does not list, are never touched. A run that only seems dead loses
    what it held, and can obtain it again when it comes back. Each lease that was settled is in one report only, also
    when two sweeps run at once. A server that does not answer is asked once.

    Raises:
        HoldtrueError: the ledger cannot be read. A failure at a server is the outcome of its lease; when the ledger
            cannot be written, the report is still whole and says so.
    """
    started_at, clock = datetime.now(UTC), time.monotonic()
    left = ledger.unsettled()
    found = [(holding, vitality(holding, liveness(holding.holder.process), SILENCE_SECONDS)) for holding in left]
    dead = [(holding, seen) for holding, seen in found if seen is not Vitality.LIVE]
    sweeper = _Sweeper(ledger, vaults, started_at)
    swept = [(holding.holder, lease) for holding, seen in dead for lease in sweeper.end(holding, seen)]
    for holding, seen in dead:
        # Closing a run also frees its locks, so that must wait while one of its tools may still write.
        if seen is Vitality.OVER and observe(holding.holder.process).tools is Liveness.DEAD:
            sweeper.close(holding.holder)
    sweeper.prune()
    return SweepReport(
        leases=tuple(lease for _, lease in swept),
        dead_runs=len({holder.id for holder, lease in swept if not lease.outcome.needs_nobody}),
        live_runs=len(left) - len(dead),
        ledger_failure=sweeper.ledger_failure,
        folders=_remove_folders(),
        started_at=started_at,
        duration_seconds=round(time.monotonic() - clock, 3),
    )


def _remove_folders() -> tuple[SweptFolder, ...]:
    """Remove the private folders that dead runs left on this machine. An error there does not stop revocations."""
    try:
        return remove_leftovers(private_parent())
    except (SettingInvalid, OSError) as error:
        detail = f"the private folders of this machine cannot be listed: {error}"
        return (SweptFolder(path="HOLDTRUE_PRIVATE_FOLDERS", outcome=FolderOutcome.LEFT, detail=detail),)


def _turn(lease: Lease) -> tuple[bool, datetime]:
    return lease.kind is not LeaseKind.TOKEN, lease.requested_at


class _Sweeper:
    """One sweep: its logins, the servers that did not answer, and why the ledger could not be written."""

    def __init__(self, ledger: LeaseLedger, vaults: Sequence[VaultCredentials], now: datetime) -> None:
        self._ledger = ledger
        self._logins = {(vault.server().address, vault.server().namespace): vault for vault in vaults}
        self._now = now
        self._silent: dict[tuple[str, str], str] = {}
        self.ledger_failure = ""

    def end(self, holding: Holding, seen: Vitality) -> Iterator[SweptLease]:
        """End what a dead run left, and settle it. Leases that another sweep settled first are left out."""
        holder = holding.holder
        for lease in sorted(holding.leases, key=_turn, reverse=True):
            if self._may_be_answered(lease, seen):
                continue
            outcome, detail = self._end(lease)
            if not self._settle(lease, outcome):
                continue
            yield SweptLease(
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

    def close(self, holder: Holder) -> None:
        """Note that this run is over."""
        self._write(lambda: self._ledger.close_holder(holder.id, self._now))

    def prune(self) -> None:
        """Forget old runs."""
        self._write(lambda: self._ledger.prune(self._now - timedelta(days=KEPT_DAYS)))

    def _may_be_answered(self, lease: Lease, seen: Vitality) -> bool:
        """Tell whether it is too early to settle: the run may come back, and nobody can revoke what it asked for."""
        waits = lease.state is LeaseState.REQUESTED and not lease.kind.revocable
        return waits and seen is Vitality.SILENT and not self._is_answer_overdue(lease)

    def _settle(self, lease: Lease, outcome: SweepOutcome) -> bool:
        """Settle the lease; False when another sweep did so first, and True also when the ledger cannot be written."""
        state = _SETTLED.get(outcome)
        if lease.state is LeaseState.REQUESTED and self._is_answer_overdue(lease):
            state = LeaseState.LOST
        return state is None or self._write(lambda: self._ledger.settle(lease.id, state)) is not False

    def _write(self, write: Callable[[], object]) -> object:
        """Return the ledger's answer; None once it could not be written, after which it is not asked again."""
        if self.ledger_failure:
            return None
        try:
            return write()
        except ResourceMissing:  # Another sweep has settled it, and forgotten it.
            return False
        except HoldtrueError as error:
            self.ledger_failure = str(error)
            return None

    def _end(self, lease: Lease) -> _Ended:
        if lease.state is LeaseState.REQUESTED:
            return self._unanswered(lease)
        if not lease.revocable:
            return self._leave(lease, "ends by itself")
        server = (lease.server, lease.namespace)
        vault = self._logins.get(server)
        if vault is None:
            why = "this sweep has no Vault login for this server and namespace: name its block in `vaults`"
            return self._unknown(lease, why)
        if server in self._silent:
            why = f"not asked, because the server had not answered before: {self._silent[server]}"
            return self._unknown(lease, why)
        try:
            return self._revoke(lease, vault.connect())
        except HoldtrueError as error:
            why = str(error)
            if isinstance(error, TransientError):
                self._silent[server] = why
        except Exception as error:  # noqa: BLE001 - what is wrong with one lease must not keep the others alive
            why = f"the sweep itself failed ({type(error).__name__})"
        return self._unknown(lease, why)

    def _unknown(self, lease: Lease, why: str) -> _Ended:
        """The outcome without proof that it ended. It may have been renewed while the ledger was away."""
        if lease.expires_at is not None and self._is_past(lease.expires_at):
            return SweepOutcome.FAILED, f"expired according to the ledger, but the server has not confirmed that: {why}"
        return SweepOutcome.FAILED, why

    def _revoke(self, lease: Lease, vault: SharedVault) -> _Ended:
        match lease.kind:
            case LeaseKind.CERTIFICATE:
                return self._revoke_certificate(lease, vault)
            case LeaseKind.TOKEN:
                accessor = lease.reference
                return _revoke(vault, lambda it: it.lookup_accessor(accessor), lambda it: it.revoke_accessor(accessor))
            case _:
                lease_id = lease.reference
                return _revoke(vault, lambda it: it.lookup_lease(lease_id), lambda it: it.revoke_lease(lease_id))

    def _revoke_certificate(self, lease: Lease, vault: SharedVault) -> _Ended:
        mount, serial = lease.path.split("/issue/")[0], lease.reference
        try:
            if vault.call(lambda session: session.valid_certificate(mount, serial)) is None:
                return SweepOutcome.GONE, "it is on the revocation list"
            vault.call(lambda session: session.revoke_certificate(mount, serial))
            if vault.call(lambda session: session.valid_certificate(mount, serial)) is not None:
                return SweepOutcome.FAILED, "the server accepted the revocation, but still considers it valid"
        except ForeignAnswer:
            raise
        except ResourceMissing:
            return self._leave(lease, "its mount does not know it, so it cannot be revoked; it expires by itself")
        return SweepOutcome.REVOKED, "looked up afterwards: on the revocation list"

    def _leave(self, lease: Lease, why: str) -> _Ended:
        if lease.expires_at is not None and self._is_past(lease.expires_at):
            return SweepOutcome.GONE, "expired"
        return SweepOutcome.IRREVOCABLE, why

    def _unanswered(self, lease: Lease) -> _Ended:
        what = f"requested, but the answer was never recorded: it may live, at most {LOST_HOURS} h from the request"
        if lease.kind.revocable:
            return SweepOutcome.LOST, f"{what}; without the answer nothing identifies it, so it cannot be revoked"
        if self._is_answer_overdue(lease):
            return SweepOutcome.GONE, "requested, never answered, and expired by now"
        return SweepOutcome.IRREVOCABLE, what

    def _is_answer_overdue(self, lease: Lease) -> bool:
        return self._is_past(lease.requested_at + timedelta(hours=LOST_HOURS))

    def _is_past(self, time: datetime) -> bool:
        return time + timedelta(seconds=_CLOCKS_SECONDS) < self._now


def _revoke(
    vault: SharedVault, find: Callable[[VaultSession], int | None], revoke: Callable[[VaultSession], None]
) -> _Ended:
    if vault.call(find) is None:
        return SweepOutcome.GONE, "the server no longer knows it"
    try:
        vault.call(revoke)
    except LeaseGone:
        return SweepOutcome.GONE, "it ended in the meantime"
    if vault.call(find) is not None:
        return SweepOutcome.FAILED, "the server accepted the revocation, but still knows it"
    return SweepOutcome.REVOKED, "looked up afterwards: not there"
