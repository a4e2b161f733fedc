"""What one run holds of other systems: its logins and leases, ended together, whatever becomes of the run.

Inside `credential_scope` all threads share it. Code that opened none shares the process's own scope, which ends with
the process; so credentials work in a user's own flow without further ado. SIGTERM and SIGHUP end every scope of the
process before they end it. Code that handles such a signal otherwise has to end the process by exit or exception.
"""

import atexit
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar
from uuid import UUID, uuid4

from holdtrue.adapters.ledger import open_ledger
from holdtrue.adapters.vault import VaultServer
from holdtrue.credentials import termination
from holdtrue.credentials.ending import Ending
from holdtrue.credentials.entry import LedgerEntry
from holdtrue.credentials.holding import Holding, Issued, obtain, requested
from holdtrue.credentials.logins import VaultLogin
from holdtrue.credentials.shared import SharedVault
from holdtrue.errors import RejectedError
from holdtrue.models.lease import Holder, Lease, LeaseKind, LeaseState
from holdtrue.models.ledger import Ledger
from holdtrue.runtime.liveness import current_process
from holdtrue.runtime.redaction import SECRETS
from holdtrue.settings import load_settings

T = TypeVar("T")

_LOGGER: Final = logging.getLogger(__name__)

_UPKEEP_SECONDS: Final = 10.0
"""How long no renewal may have been looked for."""

_STOP_SECONDS: Final = 1.0
"""How long the end of a scope waits for a renewal that is under way."""


@dataclass(frozen=True, slots=True)
class RunLabel:
    """What the ledger calls the run; all empty outside a flow."""

    id: str = ""
    name: str = ""
    flow: str = ""


class CredentialScope:
    """Holds what was obtained for one run, renews it, and ends it in reverse order, the tokens last.

    The end comes once. Threads that still run then get a RejectedError for whatever they ask for.
    """

    def __init__(self, run: RunLabel, connect: Callable[[], Ledger]) -> None:
        self.holder: Final[UUID] = uuid4()
        self.run: Final = run
        self.secrets: Final = SECRETS.holder()
        self._process_id: Final = os.getpid()
        self._entry: Final = LedgerEntry(_listed(self.holder, run), connect)
        self._lock = threading.RLock()
        self._closing = threading.Lock()
        self._ended_by = 0
        self._ending = Ending()
        self._vaults: dict[tuple[VaultServer, VaultLogin], SharedVault] = {}
        self._holdings: list[Holding] = []
        self._upkeep: threading.Thread | None = None
        self._over = threading.Event()
        self._changed = threading.Event()

    @property
    def is_of_this_process(self) -> bool:
        """False in a child that was forked: what the parent holds is not the child's to renew or to end."""
        return self._process_id == os.getpid()

    def vault(self, server: VaultServer, identity: VaultLogin) -> SharedVault:
        """The one login of this scope to this server under this identity; made when it is first asked something."""
        with self._lock:
            return self._vaults.setdefault((server, identity), SharedVault(server, identity, self))

    def ledger(self) -> Ledger:
        """The ledger, in which this scope is listed from now on.

        Raises:
            RejectedError: the scope is over.
            HoldtrueError: it cannot be opened: then nothing may be obtained.
        """
        with self._lock, self.secrets.collecting():
            if self._over.is_set():
                raise _run_is_over()
            return self._entry.open()

    def obtain(
        self,
        kind: LeaseKind,
        *,
        server: str,
        path: str,
        request: Callable[[], T],
        describe: Callable[[T], Issued],
        end: Callable[[T], None] | None = None,
    ) -> T:
        """Something that another server than Vault issues for a while, with the ledger knowing of it before its use."""
        lease = requested(self.holder, kind, server=server, namespace="", path=path)
        value, holding = obtain(self, lease, request, describe, None if end is None else _revoking(end))
        self.keep(holding)
        return value

    def note(self, line: Lease) -> None:
        """Change the ledger's line of a lease, as soon as the ledger answers."""
        self._entry.note(line)

    def keep(self, holding: Holding) -> None:
        """End this with the scope, and renew it from now on.

        Raises:
            RejectedError: the scope is over, and this was ended at once.
        """
        with self._lock:
            is_over = self._over.is_set()
            if not is_over:
                self._holdings.append(holding)
                self._start_upkeep()
        self._changed.set()
        if is_over:
            late = Ending()
            late.release(holding)
            self._entry.close()
            late.finish()
            raise _run_is_over()

    def close(self) -> None:
        """Revoke what is held, the latest first. What cannot be revoked now stays in the ledger for the sweep.

        What nobody can revoke is left to expire. A server that does not answer is asked once; the rest of what it
        issued is left to the sweep, too. In a child that was forked, nothing is done: all of it is its parent's. Called
        again, it waits for the first call.
        """
        if not self.is_of_this_process:
            return
        with self._lock:
            self._over.set()
        self._changed.set()
        try:
            if self._upkeep is not None:
                self._upkeep.join(_STOP_SECONDS)
        finally:
            with self._closing:
                self._ended_by = threading.get_ident()
                self._release_all()

    @property
    def is_ended_by_this_thread(self) -> bool:
        """True while, and after, this thread ends what is held."""
        return self._ended_by == threading.get_ident()

    def _release_all(self) -> None:
        while (holding := self._next()) is not None:
            self._ending.release(holding)
        self.secrets.release()
        try:
            self._entry.close()
        finally:
            self._ending.finish()

    def _next(self) -> Holding | None:
        """What to end now: the latest, and the tokens last, because what was asked with them is ended by them."""
        with self._lock:
            if not self._holdings:
                return None
            others = (item for item in reversed(self._holdings) if item.lease.kind is not LeaseKind.TOKEN)
            holding = next(others, self._holdings[-1])
            self._holdings.remove(holding)
            return holding

    def _start_upkeep(self) -> None:
        """Renew beside the scope's work. The caller has the lock."""
        if self._upkeep is None:
            self._upkeep = threading.Thread(target=self._keep_up, name="holdtrue-upkeep", daemon=True)
            self._upkeep.start()

    def _keep_up(self) -> None:
        while not self._over.is_set():
            self._changed.clear()
            now = time.monotonic()
            with self._lock:
                vaults = list(self._vaults.values())
            due = min((vault.renewals.renew_due(now) for vault in vaults), default=math.inf)
            self._changed.wait(min(_UPKEEP_SECONDS, max(0.0, due - time.monotonic())))


def _listed(holder: UUID, run: RunLabel) -> Holder:
    now = datetime.now(UTC)
    return Holder(
        id=holder,
        run=run.id,
        run_name=run.name,
        flow=run.flow,
        process=current_process(),
        opened_at=now,
        beat_at=now,
        closed_at=None,
    )


def _revoking(end: Callable[[T], None]) -> Callable[[T], LeaseState]:
    def revoke(value: T) -> LeaseState:
        end(value)
        return LeaseState.REVOKED

    return revoke


def _run_is_over() -> RejectedError:
    return RejectedError(
        "this run is over, and what it held was ended: nothing is obtained for it any more",
        where="credential scope",
        next_step="wait for the threads that still work before the run ends",
    )


_current: ContextVar[CredentialScope | None] = ContextVar("holdtrue_credential_scope", default=None)
_of_process: CredentialScope | None = None
_lock: Final = threading.Lock()


@contextmanager
def credential_scope(run: RunLabel | None = None) -> Iterator[CredentialScope]:
    """Hold what is obtained inside, and end all of it on every way out. Inside another scope, that one is meant."""
    outer = _current.get()
    if outer is not None and outer.is_of_this_process:
        yield outer
        return
    scope = CredentialScope(run or RunLabel(), _open_ledger)
    token = _current.set(scope)
    termination.enlist(scope)
    try:
        yield scope
    finally:
        _current.reset(token)
        try:
            scope.close()
        finally:
            termination.dismiss(scope)


def current_scope() -> CredentialScope:
    """The scope that this code runs in; the process's own one outside of any."""
    scope = _current.get()
    return scope if scope is not None and scope.is_of_this_process else _process_scope()


def _process_scope() -> CredentialScope:
    global _of_process  # noqa: PLW0603 - one for each process
    with _lock:
        if _of_process is None or not _of_process.is_of_this_process:
            # Prefect's engine names its run to the process that it starts for it.
            label = RunLabel(id=os.environ.get("PREFECT__FLOW_RUN_ID", ""))
            _of_process = CredentialScope(label, _open_ledger)
            termination.enlist(_of_process)
            atexit.register(_of_process.close)
        return _of_process


def _open_ledger() -> Ledger:
    return open_ledger(load_settings().ledger_url.get_secret_value())
