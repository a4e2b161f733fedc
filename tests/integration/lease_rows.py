"""Every lease that a test's ledger knows, settled ones too, which no seam of the product lists."""

import os

from holdtrue.adapters.ledger import database
from holdtrue.adapters.ledger.tables import LEASES
from holdtrue.models.lease import Lease


def all_leases() -> tuple[Lease, ...]:
    """In the order in which they were asked for."""
    with database.connect(os.environ["HOLDTRUE_LEDGER_URL"]).connect() as connection:
        rows = connection.execute(LEASES.select().order_by(LEASES.c.requested_at)).all()
    return tuple(Lease.model_validate(dict(row._mapping)) for row in rows)
