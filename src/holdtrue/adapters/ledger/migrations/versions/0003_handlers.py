"""Handlers that were notified and have not run."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "handlers",
        sa.Column("environment", sa.String(63), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("handler", sa.String(512), nullable=False),
        sa.Column("notified_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("environment", "host", "handler", name="pk_handlers"),
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_table("handlers")
