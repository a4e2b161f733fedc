"""What one run holds of other systems: its logins and leases, ended together, whatever becomes of the run.

Inside `credential_scope` all threads share it. Code that opened none shares the process's own scope, which ends with
the process; so credentials work in a user's own flow without further ado.
"""

import atexit
import logging
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
from holdtrue.credentials.holding import Holding, Issued, obtain, requested
from holdtrue.credentials.logins import VaultLogin
from holdtrue.credentials.shared import SharedVault
from holdtrue.errors import HoldtrueError, TransientError
from holdtrue.models.lease import Holder, LeaseKind, LeaseLedger
from holdtrue.runtime.liveness import current_process
from holdtrue.settings import load_settings

T = TypeVar("T")

_LOGGER: Final = logging.getLogger(__name__)

BEAT_SECONDS: Final = 10.0
"""How often a scope tells the ledger that it lives."""

_STOP_SECONDS: Final = 1.0
"""How long the end of a scope waits for a renewal that is under way."""


@dataclass(frozen=True, slots=True)
class RunLabel:
    """What the ledger calls the run; all empty outside a flow."""

    id: str = ""
    name: str = ""
    flow: str = ""


class CredentialScope:
    """Holds what was obtained for one run, renews it, and ends it in reverse order."""

    def __init__(self, run: RunLabel, connect: Callable[[], LeaseLedger]) -> None:
        self.holder: Final[UUID] = uuid4()
        self.run: Final = run
        self._process_id: Final = os.getpid()
        self._connect = connect
        self._lock = threading.RLock()
        self._ledger: LeaseLedger | None = None
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

    def ledger(self) -> LeaseLedger:
        """The ledger, in which this scope is listed from now on.

        Raises:
            HoldtrueError: it cannot be opened: then nothing may be obtained.
        """
        with self._lock:
            if self._ledger is None:
                ledger = self._connect()
                now = datetime.now(UTC)
                ledger.open_holder(
                    Holder(
                        id=self.holder,
                        run=self.run.id,
                        run_name=self.run.name,
                        flow=self.run.flow,
                        process=current_process(),
                        opened_at=now,
                        beat_at=now,
                        closed_at=None,
                    )
                )
                self._ledger = ledger
            return self._ledger

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
        value, holding = obtain(self.ledger(), lease, request, describe, end)
        self.keep(holding)
        return value

    def keep(self, holding: Holding) -> None:
        """End this with the scope, and renew and beat from now on."""
        with self._lock:
            self._holdings.append(holding)
            if self._upkeep is None:
                self._upkeep = threading.Thread(target=self._keep_up, name="holdtrue-upkeep", daemon=True)
                self._upkeep.start()
        self._changed.set()

    def close(self) -> None:
        """Revoke what is held, the latest first. What cannot be revoked now stays in the ledger for the sweep.

        A server that does not answer is asked once; the rest of what it issued is left to the sweep, too.
        """
        self._over.set()
        self._changed.set()
        if self._upkeep is not None:
            self._upkeep.join(_STOP_SECONDS)
        silent: set[str] = set()
        interruption: BaseException | None = None
        while self._holdings:
            holding = self._holdings.pop()
            if holding.lease.server in silent:
                continue
            try:
                holding.release()
            except HoldtrueError as error:
                _warn(holding, error)
                if isinstance(error, TransientError):
                    silent.add(holding.lease.server)
            except BaseException as error:  # noqa: BLE001 - a signal must not leave the rest alive; it is raised below
                interruption = error
        self._close_ledger()
        if interruption is not None:
            raise interruption

    def _close_ledger(self) -> None:
        if self._ledger is None:
            return
        try:
            self._ledger.close_holder(self.holder, datetime.now(UTC))
        except HoldtrueError as error:
            _LOGGER.warning("the ledger does not know that this run is over: %s", error)
        self._ledger = None

    def _keep_up(self) -> None:
        beat_due = time.monotonic() + BEAT_SECONDS
        while not self._over.is_set():
            self._changed.clear()
            now = time.monotonic()
            if now >= beat_due:
                self._beat()
                beat_due = now + BEAT_SECONDS
            with self._lock:
                vaults = list(self._vaults.values())
            due = min([beat_due, *(vault.renew_due(now) for vault in vaults)])
            self._changed.wait(max(0.0, due - time.monotonic()))

    def _beat(self) -> None:
        try:
            self.ledger().beat(self.holder, datetime.now(UTC))
        except HoldtrueError as error:
            _LOGGER.warning("the ledger was not told that this run lives: %s", error)


def _warn(holding: Holding, error: HoldtrueError) -> None:
    until = holding.lease.expires_at
    _LOGGER.warning(
        "could not revoke %s, which %s issued; it lives until %s unless the sweep ends it before: %s",
        holding.lease.reference,
        holding.lease.path,
        until.isoformat(timespec="seconds") if until else "an unknown time",
        error,
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
    try:
        yield scope
    finally:
        _current.reset(token)
        scope.close()


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
            atexit.register(_close_at_exit, _of_process)
        return _of_process


def _close_at_exit(scope: CredentialScope) -> None:
    if scope.is_of_this_process:
        scope.close()


def _open_ledger() -> LeaseLedger:
    return open_ledger(load_settings().ledger_url.get_secret_value())
