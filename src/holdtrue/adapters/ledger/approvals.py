"""Approvals of plans: one row for each request, which is answered and used at most once."""

import json
import secrets
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import Connection, Engine, Row, delete, insert, select, update

from holdtrue.adapters.ledger.database import transaction
from holdtrue.adapters.ledger.dialects import insert_or_keep
from holdtrue.adapters.ledger.tables import APPROVALS, NOW, PLAN_KEYS
from holdtrue.models.approval import Approval, ApprovalRequest, Approver
from holdtrue.models.stack import PlanPart, PlanParts

_KEY_BYTES: Final = 32
_KEPT: Final = timedelta(days=30)
"""How long an unanswered request is kept after it has expired, so that a late approval gets a clear answer."""


class SqlApprovals:
    """The approvals of a ledger in a database; threads and processes may share it.

    Rows are compared with the database's clock, because the clocks of workers may differ.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def key(self, environment: str) -> bytes:
        """The secret key of this environment's hashes. Runs that ask for it at the same time get the same key."""
        kept = select(PLAN_KEYS.c.key).where(PLAN_KEYS.c.environment == environment)
        with transaction(self._engine, "read the key of plan digests") as connection:
            found = connection.scalar(kept)
            if found is None:
                row = {"environment": environment, "key": secrets.token_hex(_KEY_BYTES)}
                connection.execute(insert_or_keep(self._engine, PLAN_KEYS, row))
                found = connection.execute(kept).scalar_one()
        return bytes.fromhex(found)

    def ask(self, request: ApprovalRequest, expires_seconds: int) -> Approval:
        """Record the request; it replaces an unanswered one for the same plan."""
        with transaction(self._engine, "ask for an approval") as connection:
            now = _now(connection)
            mine = APPROVALS.c.environment == request.environment, APPROVALS.c.answered_at.is_(None)
            connection.execute(delete(APPROVALS).where(*mine, APPROVALS.c.digest == request.digest))
            connection.execute(delete(APPROVALS).where(*mine, APPROVALS.c.expires_at < now - _KEPT))
            row = {
                "id": uuid4(),
                "environment": request.environment,
                "digest": request.digest,
                "parts": _written(request.parts),
                "requested_by": request.requested_by,
                "requested_at": now,
                "expires_at": now + timedelta(seconds=expires_seconds),
                "refused": False,
            }
            connection.execute(insert(APPROVALS).values(row))
            return _approval(connection.execute(select(APPROVALS).where(APPROVALS.c.id == row["id"])).one(), now)

    def use(self, environment: str, digest: str, approver: Approver, *, reason: str, run: str) -> Approval | None:
        """Approve the open request for this plan and mark the approval as used; None when there is no open request."""
        return self._answer(environment, digest, approver, {"reason": reason, "used_by": run})

    def refuse(self, environment: str, digest: str, approver: Approver, *, reason: str) -> None:
        """Record that a person said no."""
        self._answer(environment, digest, approver, {"reason": reason, "refused": True})

    def latest(self, digest: str) -> Approval | None:
        """The newest request for a plan with this digest, in any environment."""
        # SQLite's clock counts seconds: of two requests in one second, the unanswered one is the newer.
        newest = APPROVALS.c.requested_at.desc(), APPROVALS.c.answered_at.is_not(None)
        wanted = select(APPROVALS).where(APPROVALS.c.digest == digest).order_by(*newest).limit(1)
        with transaction(self._engine, "read an approval") as connection:
            row = connection.execute(wanted).first()
            return None if row is None else _approval(row, _now(connection))

    def all(self) -> tuple[Approval, ...]:
        """Every request, the oldest first, without the parts of its plan."""
        columns = [column for column in APPROVALS.c if column.name != "parts"]
        with transaction(self._engine, "read the approvals") as connection:
            now = _now(connection)
            rows = connection.execute(select(*columns).order_by(APPROVALS.c.requested_at, APPROVALS.c.id))
            return tuple(_approval(row, now) for row in rows)

    def _answer(self, environment: str, digest: str, approver: Approver, answer: dict[str, Any]) -> Approval | None:
        """Find the open request and answer it in one statement.

        Of several runs that try at once, only one succeeds: SQLite has one writer at a time, and PostgreSQL locks the
        row and checks its newest version again.
        """
        open_request = (
            APPROVALS.c.environment == environment,
            APPROVALS.c.digest == digest,
            APPROVALS.c.answered_at.is_(None),
            APPROVALS.c.expires_at > NOW,
        )
        row = answer | {"approver": approver.name, "is_proved": approver.is_proved, "answered_at": NOW}
        with transaction(self._engine, "record an approval") as connection:
            found = connection.execute(update(APPROVALS).where(*open_request).values(row).returning(APPROVALS)).first()
            return None if found is None else _approval(found, _now(connection))


def _now(connection: Connection) -> datetime:
    moment: datetime = connection.execute(select(NOW)).scalar_one()
    return moment


def _written(parts: PlanParts) -> str:
    return json.dumps({part.value: items for part, items in parts.items()}, sort_keys=True)


def _approval(row: Row[Any], now: datetime) -> Approval:
    columns = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    parts: dict[str, dict[str, str]] = json.loads(columns.get("parts") or "{}")
    approver = None
    if columns["answered_at"] is not None:
        approver = Approver(name=columns["approver"] or "", is_proved=bool(columns["is_proved"]))
    return Approval(
        id=columns["id"],
        environment=columns["environment"],
        digest=columns["digest"],
        parts={PlanPart(part): items for part, items in parts.items()},
        requested_by=columns["requested_by"],
        requested_at=columns["requested_at"],
        expires_at=columns["expires_at"],
        refused=columns["refused"],
        approver=approver,
        reason=columns["reason"] or "",
        answered_at=columns["answered_at"],
        used_by=columns["used_by"] or "",
        is_expired=columns["expires_at"] <= now,
    )
