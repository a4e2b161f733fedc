"""The ledger in SQLite or PostgreSQL, by SQLAlchemy and Alembic.

`database` opens one and brings it up to date, `tables` is what is in it; `ledger` is what is asked of it about runs and
what they hold, `locks` what is asked about environments.
SQLAlchemy takes 0.2 s to import, so it is imported when the first ledger opens and not with this package.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdtrue.models.ledger import Ledger


def open_ledger(url: str, *, must_exist: bool = False) -> "Ledger":
    """The ledger at this SQLAlchemy URL, made or migrated when it has to be.

    Args:
        url: `sqlite:///relative`, `sqlite:////absolute`, `sqlite:///~/home` or `postgresql+psycopg://...`.
        must_exist: Do not make one: an answer from a new ledger would be about no run at all.

    Raises:
        ResourceMissing: there is no ledger, and it had to exist.
        ServiceUnreachable, ServiceNotReady: the database does not answer, or is locked.
        AccessDenied: it refused the login, or this user may not write the file.
        RejectedError: the URL is wrong, it is no ledger, or a newer Holdtrue has migrated it.
        ToolMissing: the driver is not installed.
    """
    from holdtrue.adapters.ledger.database import connect  # noqa: PLC0415 - see the module's docstring
    from holdtrue.adapters.ledger.ledger import SqlLedger  # noqa: PLC0415 - same

    return SqlLedger(connect(url, must_exist=must_exist))
