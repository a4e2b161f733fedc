"""The ledger's tables. A change here needs a migration; a test holds the two together."""

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    func,
    type_coerce,
)
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, in UTC also where the database has no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """To the database."""
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """From the database."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


NOW: Final = type_coerce(func.now(), UtcDateTime)
"""The database's time: the one clock that all who share a ledger have in common."""

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

HOLDERS: Final = Table(
    "holders",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("run", String(64), nullable=False),
    Column("run_name", Text, nullable=False),
    Column("flow", Text, nullable=False),
    Column("machine", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_ticks", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("user_id", BigInteger, nullable=True),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("beat_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime, nullable=True),
)

LEASES: Final = Table(
    "leases",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("holder", Uuid, ForeignKey("holders.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("server", Text, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=True),
    Column("state", String(16), nullable=False),
    Index(None, "holder"),
    Index(None, "state"),
)

LOCKS: Final = Table(
    "locks",
    METADATA,
    Column("environment", String(63), primary_key=True),
    Column("fence", BigInteger, nullable=False),
    Column("holder", Uuid, ForeignKey("holders.id"), nullable=True),
    Column("acquired_at", UtcDateTime, nullable=False),
    Index(None, "holder"),
)

HANDLERS: Final = Table(
    "handlers",
    METADATA,
    Column("environment", String(63), primary_key=True),
    Column("host", String(255), primary_key=True),
    Column("handler", String(512), primary_key=True),
    Column("notified_at", UtcDateTime, nullable=False),
)

APPROVALS: Final = Table(
    "approvals",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("environment", String(63), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("parts", Text, nullable=False),
    Column("requested_by", String(64), nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("refused", Boolean, nullable=False),
    Column("approver", Text, nullable=True),
    Column("is_proved", Boolean, nullable=True),
    Column("reason", Text, nullable=True),
    Column("answered_at", UtcDateTime, nullable=True),
    Column("used_by", String(64), nullable=True),
    Index(None, "digest"),
)

PLAN_KEYS: Final = Table(
    "plan_keys",
    METADATA,
    Column("environment", String(63), primary_key=True),
    Column("key", String(64), nullable=False),
)
"""One random key for each environment, for the hashes in `approvals`. It gives access to nothing."""
