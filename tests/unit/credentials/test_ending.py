"""The end of what a run holds, whatever does not answer meanwhile."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from holdtrue.credentials.ending import Ending
from holdtrue.credentials.holding import Holding, requested
from holdtrue.errors import AccessDenied, ServiceUnreachable
from holdtrue.models.lease import Lease, LeaseKind, LeaseState

REVOKED: Callable[[], LeaseState] = lambda: LeaseState.REVOKED  # noqa: E731 - a value of this type


class Notebook:
    """The notes for the ledger."""

    def __init__(self) -> None:
        self.states: dict[UUID, LeaseState] = {}

    def note(self, line: Lease) -> None:
        self.states[line.id] = line.state

    def holding(
        self,
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
        return Holding(held, end, self.note)


def ended(*holdings: Holding) -> None:
    ending = Ending()
    for item in holdings:
        ending.release(item)
    ending.finish()


def raising(error: BaseException) -> Callable[[], LeaseState]:
    def end() -> LeaseState:
        raise error

    return end


def test_each_is_noted_as_what_it_came_to() -> None:
    notes = Notebook()
    token, certificate = notes.holding(REVOKED), notes.holding(None)
    over = notes.holding(None, left=timedelta(seconds=-1))
    ended(certificate, over, token)
    assert notes.states == {
        token.id: LeaseState.REVOKED,
        certificate.id: LeaseState.LEFT,
        over.id: LeaseState.EXPIRED,
    }


def test_a_server_that_does_not_answer_is_asked_once_and_others_are_asked() -> None:
    notes, asked = Notebook(), []

    def silent() -> LeaseState:
        asked.append("silent")
        raise ServiceUnreachable("does not answer")

    away = [notes.holding(silent) for _ in range(3)]
    certificate, other = notes.holding(None), notes.holding(REVOKED, server="https://other")
    ended(*away, certificate, other)
    assert asked == ["silent"]
    assert notes.states == {certificate.id: LeaseState.LEFT, other.id: LeaseState.REVOKED}


@pytest.mark.parametrize(("left", "verb"), [(timedelta(hours=1), "expires at"), (timedelta(seconds=-1), "expired at")])
def test_what_could_not_be_revoked_is_named_with_its_own_end(
    left: timedelta, verb: str, caplog: pytest.LogCaptureFixture
) -> None:
    notes = Notebook()
    item = notes.holding(raising(AccessDenied("the policy lacks it")), reference="the-accessor", left=left)
    ended(item)
    assert item.lease.expires_at is not None
    assert "the-accessor" in caplog.text
    assert f"{verb} {item.lease.expires_at.isoformat(timespec='seconds')}" in caplog.text
    assert ("could not revoke" in caplog.text) == (verb == "expires at"), "what is over needs no revocation"
    assert ("may still be valid" in caplog.text) == (verb == "expires at")
    assert notes.states == {}, "it may live: the ledger lists it"


def test_a_signal_is_raised_when_all_else_is_done() -> None:
    notes = Notebook()
    interrupted, token = notes.holding(raising(KeyboardInterrupt())), notes.holding(REVOKED)
    with pytest.raises(KeyboardInterrupt):
        ended(interrupted, token)
    assert notes.states == {token.id: LeaseState.REVOKED}
