"""Handlers that were notified on hosts and have not run, kept from one run to the next."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from holdtrue.models.base import Value


class OpenHandler(Value):
    """A handler that was notified on a host and still has to run there."""

    environment: str
    host: str
    handler: str
    notified_at: datetime


class OpenHandlers(Value):
    """All pending handlers in a ledger."""

    handlers: tuple[OpenHandler, ...]


class HandlerNotes(Protocol):
    """Stores pending handlers by environment, host and name."""

    def add(self, environment: str, host: str, handler: str) -> None:
        """Record that the handler was notified; an earlier timestamp is kept."""

    def remove(self, environment: str, host: str, handlers: Iterable[str]) -> int:
        """Remove these handlers, which ran or were acknowledged; return how many were recorded."""

    def all(self, environment: str | None = None) -> Sequence[OpenHandler]:
        """The pending handlers of one environment, or of all."""
