"""The ledger as a whole: what runs hold of other systems, and the environments that they have locked."""

from typing import Protocol

from holdtrue.models.lease import LeaseLedger
from holdtrue.models.lock import EnvironmentLocks


class Ledger(LeaseLedger, Protocol):
    """The ledger. A run that is closed in it holds no lock any more."""

    @property
    def locks(self) -> EnvironmentLocks:
        """The locks of environments."""
