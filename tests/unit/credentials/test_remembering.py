"""What is kept while it is usable, and for how long when it cannot be replaced."""

from typing import cast

import pytest

from holdtrue.adapters.vault import VaultServer
from holdtrue.credentials.holding import Custodian
from holdtrue.credentials.logins import AppRoleAuth
from holdtrue.credentials.shared import SharedVault
from holdtrue.errors import RejectedError, ServiceUnreachable


class Source:
    """Gives one key after the other, or fails."""

    def __init__(self) -> None:
        self.given = 0
        self.error: Exception | None = None

    def fetch(self) -> int:
        if self.error is not None:
            raise self.error
        self.given += 1
        return self.given


@pytest.fixture
def vault() -> SharedVault:
    """It is asked nothing."""
    server = VaultServer(address="https://vault.example.org", namespace="", ca_file=None, timeout_seconds=1)
    return SharedVault(server, AppRoleAuth(role_id="nobody"), cast("Custodian", None))


def test_it_is_fetched_once_while_it_is_usable_and_again_when_it_is_not(vault: SharedVault) -> None:
    source = Source()
    assert [vault.remember("keys", lambda _: True, source.fetch) for _ in range(3)] == [1, 1, 1]
    assert vault.remember("keys", lambda _: False, source.fetch) == 2


def test_what_cannot_be_replaced_is_used_while_it_still_serves(
    vault: SharedVault, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source()
    vault.remember("keys", lambda _: True, source.fetch)
    source.error = ServiceUnreachable("the ledger does not answer")

    def ask(*, serves: bool) -> int:
        return vault.remember("keys", lambda _: False, source.fetch, serves_still=lambda _: serves)

    assert ask(serves=True) == 1
    assert "does not answer" in caplog.text
    with pytest.raises(ServiceUnreachable):
        ask(serves=False)
    source.error = RejectedError("the role is gone")
    with pytest.raises(RejectedError):
        ask(serves=True)
    source.error = None
    assert ask(serves=True) == 2


def test_without_anything_at_hand_the_failure_is_told(vault: SharedVault) -> None:
    source = Source()
    source.error = ServiceUnreachable("the ledger does not answer")
    with pytest.raises(ServiceUnreachable):
        vault.remember("keys", lambda _: True, source.fetch, serves_still=lambda _: True)
