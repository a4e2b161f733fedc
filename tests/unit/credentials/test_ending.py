"""The end of what a run holds, whatever does not answer meanwhile."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from holdtrue.credentials.ending import Ending
from holdtrue.credentials.holding import Holding, requested
from holdtrue.errors import AccessDenied, HoldtrueError, ServiceUnreachable
from holdtrue.models.lease import Lease, LeaseKind, LeaseRecorder, LeaseState

REVOKED: Callable[[], LeaseState] = lambda: LeaseState.REVOKED  # noqa: E731 - a value of this type


class Recorder(LeaseRecorder):
    """Notes what it is told, and raises what it is to raise."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.settled: dict[UUID, LeaseState] = {}
        self.asked = 0
        self._error = error

    def request(self, lease: Lease) -> None:
        raise NotImplementedError

    def hold(self, lease_id: UUID, reference: str, expires_at: datetime) -> None:
        raise NotImplementedError

    def settle(self, lease_id: UUID, state: LeaseState) -> bool:
        self.asked += 1
        if self._error is not None:
            raise self._error
        self.settled[lease_id] = state
        return True


def holding(
    ledger: LeaseRecorder,
    end: Callable[[], LeaseState] | None,
    *,
    server: str = "https://vault",
    reference: str = "an-accessor",
    left: timedelta = timedelta(hours=1),
) -> Holding:
    kind = LeaseKind.SSH_CERTIFICATE if end is None else LeaseKind.TOKEN
    lease = requested(uuid4(), kind, server=server, namespace="", path="auth/approle/login")
    until = datetime.now(UTC) + left
    held = lease.model_copy(update={"reference": reference, "expires_at": until, "state": LeaseState.HELD})
    return Holding(held, end, ledger)


def ended(*holdings: Holding) -> None:
    ending = Ending()
    for item in holdings:
        ending.release(item)
    ending.settle()


def raising(error: BaseException) -> Callable[[], LeaseState]:
    def end() -> LeaseState:
        raise error

    return end


def test_each_is_settled_as_what_it_came_to() -> None:
    ledger = Recorder()
    token, certificate = holding(ledger, REVOKED), holding(ledger, None)
    over = holding(ledger, None, left=timedelta(seconds=-1))
    ended(certificate, over, token)
    assert ledger.settled == {
        token.id: LeaseState.REVOKED,
        certificate.id: LeaseState.LEFT,
        over.id: LeaseState.EXPIRED,
    }


def test_a_server_that_does_not_answer_is_asked_once_and_others_are_asked() -> None:
    ledger, asked = Recorder(), []

    def silent() -> LeaseState:
        asked.append("silent")
        raise ServiceUnreachable("does not answer")

    away = [holding(ledger, silent) for _ in range(3)]
    certificate, other = holding(ledger, None), holding(ledger, REVOKED, server="https://other")
    ended(*away, certificate, other)
    assert asked == ["silent"]
    assert ledger.settled == {certificate.id: LeaseState.LEFT, other.id: LeaseState.REVOKED}


@pytest.mark.parametrize("error", [ServiceUnreachable("the ledger does not answer"), AccessDenied("read-only")])
def test_a_ledger_that_is_away_keeps_nothing_alive(error: HoldtrueError, caplog: pytest.LogCaptureFixture) -> None:
    ledger, revoked = Recorder(error), []

    def revoke() -> LeaseState:
        revoked.append(ledger.asked)
        return LeaseState.REVOKED

    ended(holding(ledger, None), *(holding(ledger, revoke) for _ in range(3)))
    assert revoked == [0, 0, 0], "each is revoked before the ledger is asked anything"
    assert ledger.asked == (1 if isinstance(error, ServiceUnreachable) else 4)
    assert str(error) in caplog.text
    assert "could not revoke" not in caplog.text, "it was revoked"


@pytest.mark.parametrize(("left", "verb"), [(timedelta(hours=1), "expires at"), (timedelta(seconds=-1), "expired at")])
def test_what_could_not_be_revoked_is_named_with_its_own_end(
    left: timedelta, verb: str, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Recorder()
    item = holding(ledger, raising(AccessDenied("the policy lacks it")), reference="the-accessor", left=left)
    ended(item)
    assert item.lease.expires_at is not None
    assert "the-accessor" in caplog.text
    assert f"{verb} {item.lease.expires_at.isoformat(timespec='seconds')}" in caplog.text
    assert ("could not revoke" in caplog.text) == (verb == "expires at"), "what is over needs no revocation"
    assert ("may still be valid" in caplog.text) == (verb == "expires at")
    assert ledger.settled == {}, "it may live: the ledger lists it"


def test_a_signal_is_raised_when_all_else_is_done() -> None:
    ledger = Recorder()
    interrupted, token = holding(ledger, raising(KeyboardInterrupt())), holding(ledger, REVOKED)
    with pytest.raises(KeyboardInterrupt):
        ended(interrupted, token)
    assert ledger.settled == {token.id: LeaseState.REVOKED}
    away = Recorder(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        ended(holding(away, REVOKED), holding(away, REVOKED))
    assert away.asked == 2
