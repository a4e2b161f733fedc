"""Ends what dead runs left: reads the ledger, revokes at the server, and looks again to prove it."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from holdtrue.adapters.vault import ForeignAnswer, LeaseGone, VaultSession
from holdtrue.core.leases import vitality
from holdtrue.credentials.entry import SILENCE_SECONDS
from holdtrue.credentials.shared import SharedVault
from holdtrue.credentials.vault import VaultCredentials
from holdtrue.errors import HoldtrueError, ResourceMissing, TransientError
from holdtrue.models.lease import Holder, Holding, Lease, LeaseKind, LeaseLedger, LeaseState, Liveness, Vitality
from holdtrue.models.sweep import SweepOutcome, SweepReport, SweptLease
from holdtrue.runtime.liveness import liveness, sight

KEPT_DAYS: Final = 30
"""How long the ledger keeps runs of which nothing is left."""

LOST_HOURS: Final = 24
"""How long what was asked for, and never answered, may live: the lifetime of nothing that a run should be given."""

_CLOCKS_SECONDS: Final = 300
"""As much as the clocks of two machines may differ: an end by the other one's clock is believed after this."""

_Ended = tuple[SweepOutcome, str]
"""What became of a lease, and why."""

_SETTLED: Final = {
    SweepOutcome.REVOKED: LeaseState.REVOKED,
    SweepOutcome.GONE: LeaseState.EXPIRED,
    SweepOutcome.IRREVOCABLE: LeaseState.LEFT,
}
"""How the ledger keeps what needs no further sweep."""


def sweep(ledger: LeaseLedger, vaults: Sequence[VaultCredentials]) -> SweepReport:
    """Revoke every lease of every dead run, the latest first and tokens last, through the login that knows its server.

    A lease of a live run, and one that the ledger does not list, is never touched. A run that only seems dead loses
    what it held, and may obtain anew when it comes back. What another sweep settles at the same time is in the report
    of one of the two, and what a sweep has settled is in no later one. A server that does not answer is asked once.

    Raises:
        HoldtrueError: the ledger cannot be read. What fails at a server is an outcome of its lease, and a ledger that
            cannot be written keeps nothing out of the report.
    """
    started_at, clock = datetime.now(UTC), time.monotonic()
    left = ledger.unsettled()
    found = [(holding, vitality(holding, liveness(holding.holder.process), SILENCE_SECONDS)) for holding in left]
    dead = [(holding, seen) for holding, seen in found if seen is not Vitality.LIVE]
    sweeper = _Sweeper(ledger, vaults, started_at)
    swept = [(holding.holder, lease) for holding, seen in dead for lease in sweeper.end(holding, seen)]
    for holding, seen in dead:
        # Closed, it has lost its locks too: not while a tool that it has started may still write.
        if seen is Vitality.OVER and sight(holding.holder.process).tools is Liveness.DEAD:
            sweeper.close(holding.holder)
    sweeper.prune()
    return SweepReport(
        leases=tuple(lease for _, lease in swept),
        dead_runs=len({holder.id for holder, lease in swept if not lease.outcome.needs_nobody}),
        live_runs=len(left) - len(dead),
        ledger_failure=sweeper.ledger_failure,
        started_at=started_at,
        duration_seconds=round(time.monotonic() - clock, 3),
    )


def _turn(lease: Lease) -> tuple[bool, datetime]:
    return lease.kind is not LeaseKind.TOKEN, lease.requested_at


class _Sweeper:
    """One sweep: its logins, the servers that have not answered it, and why the ledger could not be written."""

    def __init__(self, ledger: LeaseLedger, vaults: Sequence[VaultCredentials], now: datetime) -> None:
        self._ledger = ledger
        self._logins = {(vault.server().address, vault.server().namespace): vault for vault in vaults}
        self._now = now
        self._silent: dict[tuple[str, str], str] = {}
        self.ledger_failure = ""

    def end(self, holding: Holding, seen: Vitality) -> Iterator[SweptLease]:
        """End what a dead run left, and settle it; what another sweep has settled meanwhile is not among it."""
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
        """Whether a run that may come back has asked for what nobody can revoke: to settle it would be too early."""
        waits = lease.state is LeaseState.REQUESTED and not lease.kind.revocable
        return waits and seen is Vitality.SILENT and not self._is_answer_overdue(lease)

    def _settle(self, lease: Lease, outcome: SweepOutcome) -> bool:
        """Whether to report this: not what another sweep has settled, but what the ledger could not be told."""
        state = _SETTLED.get(outcome)
        if lease.state is LeaseState.REQUESTED and self._is_answer_overdue(lease):
            state = LeaseState.LOST
        return state is None or self._write(lambda: self._ledger.settle(lease.id, state)) is not False

    def _write(self, write: Callable[[], object]) -> object:
        """What the ledger answers; None when it cannot be written, after which it is not asked again."""
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
            return SweepOutcome.FAILED, "no Vault login of this sweep is for this server and namespace: name its block"
        if server in self._silent:
            return SweepOutcome.FAILED, f"not asked, as the server did not answer before: {self._silent[server]}"
        try:
            return self._revoke(lease, vault.connect())
        except HoldtrueError as error:
            why = str(error)
            if isinstance(error, TransientError):
                self._silent[server] = why
        except Exception as error:  # noqa: BLE001 - what is wrong with one lease must not keep the others alive
            why = f"the sweep itself failed ({type(error).__name__})"
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
                return SweepOutcome.FAILED, "the server took the revocation, but still holds it for valid"
        except ForeignAnswer:
            raise
        except ResourceMissing:
            return self._leave(lease, "its mount does not know it, so it cannot be revoked, and ends by itself")
        return SweepOutcome.REVOKED, "looked up afterwards: on the revocation list"

    def _leave(self, lease: Lease, why: str) -> _Ended:
        if lease.expires_at is not None and self._is_past(lease.expires_at):
            return SweepOutcome.GONE, "expired"
        return SweepOutcome.IRREVOCABLE, why

    def _unanswered(self, lease: Lease) -> _Ended:
        what = f"asked for, and the answer was never written down: it may live, until {LOST_HOURS} h after that at most"
        if lease.kind.revocable:
            return SweepOutcome.LOST, f"{what}; nothing is known to revoke it by"
        if self._is_answer_overdue(lease):
            return SweepOutcome.GONE, "asked for, never answered, and over by now"
        return SweepOutcome.IRREVOCABLE, what

    def _is_answer_overdue(self, lease: Lease) -> bool:
        return self._is_past(lease.requested_at + timedelta(hours=LOST_HOURS))

    def _is_past(self, time: datetime) -> bool:
        return time + timedelta(seconds=_CLOCKS_SECONDS) < self._now


def _revoke(
    vault: SharedVault, find: Callable[[VaultSession], int | None], revoke: Callable[[VaultSession], None]
) -> _Ended:
    if vault.call(find) is None:
        return SweepOutcome.GONE, "the server does not know it any more"
    try:
        vault.call(revoke)
    except LeaseGone:
        return SweepOutcome.GONE, "it ended meanwhile"
    if vault.call(find) is not None:
        return SweepOutcome.FAILED, "the server took the revocation, but still knows it"
    return SweepOutcome.REVOKED, "looked up afterwards: not there"
