"""How Alembic reaches the ledger: by the connection that the caller holds."""

from alembic import context

from holdtrue.adapters.ledger.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
