"""A logged-in session: one token's view of one server."""

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from holdtrue.adapters.vault.connection import not_vault
from holdtrue.adapters.vault.engines import Engines
from holdtrue.adapters.vault.failures import Call
from holdtrue.adapters.vault.kv import KeyValue
from holdtrue.adapters.vault.leases import Leases
from holdtrue.adapters.vault.server import VaultServer
from holdtrue.errors import AccessDenied, HoldtrueError

if TYPE_CHECKING:
    from hvac import Client

_LOGGER: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a login says about its token; not the token."""

    accessor: str
    """Names the token in Vault's audit log and to its operators; it opens nothing."""
    lifetime_seconds: int
    """From the login; 0 for a token without end."""
    renewable: bool
    owned: bool
    """True when this login made the token, which then ends with it."""
    is_batch: bool = False
    """True for a token that has no accessor and that nobody can revoke."""


class VaultSession(KeyValue, Engines, Leases):
    """What can be asked with one token; made by `login`.

    Every method raises AccessDenied, ResourceMissing, ServiceNotReady, ServiceUnreachable, CertificateRefused or
    another RejectedError, each naming mount, path and what to do. Threads may share a session.
    """

    def __init__(self, server: VaultServer, client: "Client", grant: Grant) -> None:
        super().__init__(server, client)
        self.grant: Final = grant
        self.ends = time.monotonic() + grant.lifetime_seconds if grant.lifetime_seconds else math.inf
        """When the token ends unless it is renewed, by the monotonic clock."""

    def __repr__(self) -> str:
        return f"VaultSession({self.server.address!r}, accessor={self.accessor!r})"

    @property
    def accessor(self) -> str:
        """Names the token; opens nothing."""
        return self.grant.accessor

    @property
    def lifetime_seconds(self) -> int:
        """As granted at the login; 0 for a token without end."""
        return self.grant.lifetime_seconds

    @property
    def ttl_seconds(self) -> int:
        """What is left of the token's lifetime, by this machine's clock; 0 when it is over, and where it has no end."""
        return 0 if self.ends == math.inf else max(0, int(self.ends - time.monotonic()))

    def hint(self) -> str:
        """What is known about the token, for the message of a refusal."""
        if not self.lifetime_seconds or self.ttl_seconds:
            return ""
        return f"the token's {self.lifetime_seconds} s are over: raise token_max_ttl of the role"

    @property
    def is_over(self) -> bool:
        """True when the token's lifetime is over by this machine's clock: then it is dead, whoever renewed it."""
        return time.monotonic() >= self.ends

    def is_alive(self) -> bool:
        """True when the server proves it; False is no proof: a policy without `auth/token/lookup-self` gives it too."""
        try:
            self.read(Call("look at the own token", "auth/token/lookup-self", "read"))
        except AccessDenied:
            return False
        return True

    def renew(self, increment_seconds: int) -> int:
        """Ask for this much longer life from now; returns what was granted, which is less near the role's maximum."""
        call = Call("renew the token", "auth/token/renew-self", "update")
        renewed = self.write(call, {"increment": increment_seconds}).get("auth")
        granted = renewed.get("lease_duration") if isinstance(renewed, dict) else None
        if not isinstance(granted, int):
            raise not_vault(self.server, call)
        self.ends = time.monotonic() + granted
        return granted

    def revoke(self) -> None:
        """End the token, and with it its leases."""
        self.send(Call("revoke the token of this session", "auth/token/revoke-self", "update"), {})


@contextmanager
def ended(session: VaultSession) -> Iterator[VaultSession]:
    """Revoke the session's own token on every way out, signals that raise included.

    A token that cannot be revoked is reported by a warning with its accessor and remaining life, not by an error: the
    work inside is done, and repeating it would not revoke the token.
    """
    try:
        yield session
    finally:
        try:
            if session.grant.owned:
                session.revoke()
        except HoldtrueError as error:
            if session.ttl_seconds:
                _LOGGER.warning(
                    "%s Until then the token lives at most %d s; its accessor is %s.",
                    error,
                    session.ttl_seconds,
                    session.accessor,
                )
        finally:
            session.close()
