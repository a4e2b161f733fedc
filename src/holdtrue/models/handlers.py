"""Handlers that were notified on hosts and have not run, kept from one run to the next."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from holdtrue.models.base import Value


class OpenHandler(Value):
    """A handler whose work is missing on a host."""

    environment: str
    host: str
    handler: str
    notified_at: datetime


class OpenHandlers(Value):
    """Those of a ledger."""

    handlers: tuple[OpenHandler, ...]


class HandlerNotes(Protocol):
    """Where they are kept, by environment, host and name."""

    def add(self, environment: str, host: str, handler: str) -> None:
        """It was notified; when that was noted before, the first time stays."""

    def remove(self, environment: str, host: str, handlers: Iterable[str]) -> int:
        """Those of these names ran, or a person says that they need not; how many were noted."""

    def all(self, environment: str | None = None) -> Sequence[OpenHandler]:
        """What is noted, of one environment or of all."""
