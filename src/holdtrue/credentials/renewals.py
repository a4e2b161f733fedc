"""What is renewed while a run lasts: each token before its leases, at a random part of the lifetime.

Renewing needs only Vault. The ledger is updated separately, so a ledger that does not answer delays no renewal.
"""

import logging
import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from holdtrue.adapters.vault import VaultSession
from holdtrue.credentials.holding import Holding
from holdtrue.errors import HoldtrueError
from holdtrue.models.lease import LeaseKind

_LOGGER: Final = logging.getLogger(__name__)

_RENEW_FROM: Final = 0.5
_RENEW_TO: Final = 0.65
"""A renewal falls into this part of the lifetime, at random, so that a fleet's workers do not ask all at once."""

_CAPPED: Final = 0.9
"""A renewal that gives less than this part of the lifetime has met its role's maximum and is the last one."""

_RETRY_PART: Final = 0.25
"""After a failed renewal the next try comes when this part of what is left is over."""

_RETRY_SECONDS: Final = 0.2
"""The shortest pause between two tries."""


@dataclass(slots=True)
class _Renewal:
    """What is renewed: a token by itself, or one of its leases."""

    holding: Holding
    session: VaultSession
    renew: Callable[[int], int]
    lifetime_seconds: int
    due: float
    deadline: float
    is_last: bool
    """It is not renewable, or has reached its role's maximum: it ends at its deadline."""
    has_failed: bool = False

    @property
    def is_token(self) -> bool:
        return self.holding.lease.kind is LeaseKind.TOKEN

    @property
    def ends(self) -> float:
        """When it ends unless it is renewed, by the monotonic clock; a lease ends with its token at the latest."""
        return min(self.deadline, self.session.ends)


class Renewals:
    """The tokens and leases of one Vault, and when each has to be renewed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: list[_Renewal] = []

    def add(
        self,
        holding: Holding,
        session: VaultSession,
        renew: Callable[[int], int],
        lifetime_seconds: int,
        *,
        renewable: bool,
    ) -> None:
        """Renew it from now on, as long as its role lets it; one that is not renewable only has its end noted."""
        now = time.monotonic()
        item = _Renewal(
            holding=holding,
            session=session,
            renew=renew,
            lifetime_seconds=lifetime_seconds,
            due=_due(now, lifetime_seconds),
            deadline=now + lifetime_seconds,
            is_last=not renewable,
        )
        with self._lock:
            self._items.append(item)

    def renew_due(self, now: float) -> float:
        """Renew what is due, each token before its leases; returns when to come again, by the monotonic clock."""
        with self._lock:
            self._items = [item for item in self._items if item.ends > now]
            items = [item for item in self._items if not item.is_last]
        due = [item for item in items if item.due <= now]
        for session in {id(item.session) for item in due}:
            of_session = [item for item in items if id(item.session) == session]
            # A lease cannot outlive its token, so the token goes first whenever one of them is due.
            for item in sorted(of_session, key=lambda item: not item.is_token):
                if item in due or item.is_token:
                    _renew(item)
        with self._lock:
            return min((item.due for item in self._items if not item.is_last), default=math.inf)

    def left_seconds(self, lease_id: str) -> float:
        """How long this lease lives unless it is renewed; 0 when it, or the token that it came with, is over."""
        item = self._find(lease_id)
        return max(0.0, item.ends - time.monotonic()) if item else 0.0

    def is_renewed(self, lease_id: str) -> bool:
        """Whether this lease will live longer than that: False when it cannot, or has met its role's maximum."""
        item = self._find(lease_id)
        return item is not None and not item.is_last

    def _find(self, lease_id: str) -> _Renewal | None:
        with self._lock:
            return next((item for item in self._items if item.holding.lease.reference == lease_id), None)


def _renew(item: _Renewal) -> None:
    now = time.monotonic()
    try:
        left = item.renew(item.lifetime_seconds)
    except Exception as error:  # noqa: BLE001 - one renewal that fails in a new way must not end the others
        _retry(item, error, now)
        return
    if item.has_failed:
        _LOGGER.info("renewed %s after all", item.holding.lease.path)
    item.has_failed = False
    item.holding.extend(left)
    item.deadline = now + left
    item.due = _due(now, left)
    item.is_last = left < item.lifetime_seconds * _CAPPED


def _retry(item: _Renewal, error: Exception, now: float) -> None:
    """Try again until it ends, whatever the reason: even a refusal may be corrected in time."""
    left = item.deadline - now
    item.due = now + max(left * _RETRY_PART, _RETRY_SECONDS)
    if not item.has_failed:
        why = error if isinstance(error, HoldtrueError) else type(error).__name__
        _LOGGER.warning("could not renew what %s issued; it ends in %d s: %s", item.holding.lease.path, left, why)
    item.has_failed = True


def _due(now: float, ttl_seconds: float) -> float:
    return now + ttl_seconds * random.uniform(_RENEW_FROM, _RENEW_TO)  # noqa: S311 - spreads load, keeps no secret
