"""Locks of environments, and the users of processes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and the column."""
    op.add_column("holders", sa.Column("user_id", sa.BigInteger(), nullable=True))
    op.create_table(
        "locks",
        sa.Column("environment", sa.String(63), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.Uuid(), nullable=True),
        sa.Column("acquired_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["holder"], ["holders.id"], name="fk_locks_holder"),
        sa.PrimaryKeyConstraint("environment", name="pk_locks"),
    )
    op.create_index("ix_locks_holder", "locks", ["holder"])


def downgrade() -> None:
    """Take them away."""
    op.drop_table("locks")
    op.drop_column("holders", "user_id")
