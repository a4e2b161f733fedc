"""When what a run holds is renewed: until it ends or has met its maximum, whatever fails meanwhile."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast
from uuid import uuid4

import pytest

from holdtrue.adapters.vault import VaultSession
from holdtrue.credentials.holding import Holding, requested
from holdtrue.credentials.renewals import Renewals
from holdtrue.errors import AccessDenied, ServiceUnreachable
from holdtrue.models.lease import Lease, LeaseKind, LeaseState

LIFETIME = 100


@dataclass
class Session:
    """The one thing that renewals ask of a session."""

    ends: float = math.inf


@dataclass
class Vault:
    """Grants what it is told to, and fails when it is told to; its clock is the process's."""

    now: float = 1000.0
    grants: int = LIFETIME
    error: Exception | None = None
    asked_at: list[float] = field(default_factory=list)
    notes: list[Lease] = field(default_factory=list)

    def renew(self, _: int) -> int:
        self.asked_at.append(self.now)
        if self.error is not None:
            raise self.error
        return self.grants

    def held(self, renewals: Renewals, kind: LeaseKind = LeaseKind.SECRET, *, renewable: bool = True) -> Holding:
        lease = requested(uuid4(), kind, server="https://vault", namespace="", path="pg/creds/reader")
        held = lease.model_copy(
            update={"reference": f"lease-{kind}", "expires_at": datetime.now(UTC), "state": LeaseState.HELD}
        )
        holding = Holding(held, lambda: LeaseState.REVOKED, self.notes.append)
        renewals.add(holding, cast("VaultSession", Session()), self.renew, LIFETIME, renewable=renewable)
        return holding

    def pass_time(self, renewals: Renewals, seconds: float) -> list[float]:
        """As the upkeep does; returns when it was told to come again, each as seconds from then."""
        end, pauses = self.now + seconds, []
        while self.now < end:
            due = renewals.renew_due(self.now)
            pauses.append(due - self.now)
            self.now = min(end, max(due, self.now + 0.01))
        return pauses


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Vault:
    made = Vault()
    monkeypatch.setattr("holdtrue.credentials.renewals.time.monotonic", lambda: made.now)
    return made


@pytest.mark.parametrize("kind", [LeaseKind.TOKEN, LeaseKind.SECRET])
def test_it_is_renewed_again_and_again_and_each_is_noted(vault: Vault, kind: LeaseKind) -> None:
    renewals = Renewals()
    holding = vault.held(renewals, kind)
    vault.pass_time(renewals, 20 * LIFETIME)
    gaps = [later - earlier for earlier, later in zip(vault.asked_at, vault.asked_at[1:], strict=False)]
    assert len(gaps) > 20
    assert min(gaps) >= LIFETIME * 0.5
    assert max(gaps) <= LIFETIME * 0.66
    assert len(vault.notes) == len(vault.asked_at)
    assert {note.id for note in vault.notes} == {holding.id}
    assert renewals.is_renewed(holding.lease.reference)


@pytest.mark.parametrize("error", [ServiceUnreachable("away"), AccessDenied("refused"), ZeroDivisionError("new")])
def test_what_fails_is_tried_again_while_it_lives_and_succeeds_after_all(vault: Vault, error: Exception) -> None:
    renewals = Renewals()
    holding = vault.held(renewals)
    vault.error = error
    pauses = vault.pass_time(renewals, LIFETIME * 0.99)
    assert all(pause < LIFETIME for pause in pauses), "it is never put off for good"
    assert 3 < len(vault.asked_at) < 100, "nor asked all the time"
    assert vault.notes == []
    vault.error = None
    vault.pass_time(renewals, LIFETIME)
    assert vault.notes
    assert renewals.is_renewed(holding.lease.reference)


def test_what_is_over_is_let_go_of(vault: Vault) -> None:
    renewals = Renewals()
    holding = vault.held(renewals)
    vault.error = AccessDenied("refused")
    vault.pass_time(renewals, LIFETIME + 1)
    asked = len(vault.asked_at)
    assert vault.pass_time(renewals, LIFETIME)[0] == math.inf
    assert len(vault.asked_at) == asked
    assert not renewals.is_renewed(holding.lease.reference)
    assert renewals.left_seconds(holding.lease.reference) == 0


@pytest.mark.parametrize("renewable", [True, False])
def test_one_at_its_maximum_only_has_its_end_counted(vault: Vault, *, renewable: bool) -> None:
    renewals = Renewals()
    holding = vault.held(renewals, renewable=renewable)
    vault.grants = LIFETIME // 2
    vault.pass_time(renewals, LIFETIME * 0.7)
    assert len(vault.asked_at) == int(renewable)
    assert not renewals.is_renewed(holding.lease.reference)
    assert 0 < renewals.left_seconds(holding.lease.reference) <= LIFETIME / 2


def test_a_token_is_renewed_before_its_leases(vault: Vault) -> None:
    renewals, order = Renewals(), []

    def renewing(name: str) -> Callable[[int], int]:
        def renew(seconds: int) -> int:
            order.append(name)
            return seconds

        return renew

    session = cast("VaultSession", Session())
    for kind in (LeaseKind.SECRET, LeaseKind.TOKEN):
        lease = requested(uuid4(), kind, server="https://vault", namespace="", path="p")
        renewals.add(Holding(lease, None, vault.notes.append), session, renewing(kind), LIFETIME, renewable=True)
    vault.pass_time(renewals, 5 * LIFETIME)
    leases = [number for number, name in enumerate(order) if name == LeaseKind.SECRET]
    assert len(leases) > 5
    assert all(order[number - 1] == LeaseKind.TOKEN for number in leases)
