"""The ledger as a whole: what runs hold of other systems, locks of environments, pending handlers and approvals."""

from typing import Protocol

from holdtrue.models.approval import Approvals
from holdtrue.models.handlers import HandlerNotes
from holdtrue.models.lease import LeaseLedger
from holdtrue.models.lock import EnvironmentLocks


class Ledger(LeaseLedger, Protocol):
    """The ledger. A run that is closed in it holds no lock any more."""

    @property
    def locks(self) -> EnvironmentLocks:
        """The locks of environments."""

    @property
    def handlers(self) -> HandlerNotes:
        """The handlers that were notified and have not run."""

    @property
    def approvals(self) -> Approvals:
        """The approvals of plans."""
