"""`holdtrue locks` and `holdtrue unlock`: who holds which environment, and the way out when its holder cannot say."""

import argparse
from typing import TYPE_CHECKING

from holdtrue.cli.arguments import as_name
from holdtrue.cli.session import ExitCode, show_json, show_lines, unwound_on_termination

if TYPE_CHECKING:
    from holdtrue.models.ledger import Ledger
    from holdtrue.models.lock import ListedLock


def add_locks(parser: argparse.ArgumentParser) -> None:
    """The options of `locks`."""
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    parser.set_defaults(run=run_locks)


def add_unlock(parser: argparse.ArgumentParser) -> None:
    """The options of `unlock`."""
    parser.add_argument("environment", metavar="ENVIRONMENT", type=as_name, help="whose lock is released")
    parser.add_argument(
        "--fence", metavar="N", type=int, required=True, help="which acquisition of it, as `holdtrue locks` shows it"
    )
    parser.set_defaults(run=run_unlock)


def run_locks(options: argparse.Namespace) -> ExitCode:
    """List the locks; a holder that nobody can tell about needs a person, and is a finding."""
    from holdtrue.credentials.environment_lock import listed  # noqa: PLC0415 - a command imports what it needs
    from holdtrue.models.lock import HolderStatus, LockList  # noqa: PLC0415

    with unwound_on_termination():
        found = LockList(locks=tuple(listed(lock) for lock in open_configured_ledger().locks.all()))
    if options.json:
        show_json(found)
    else:
        show_lines([_line(item) for item in found.locks] or ["no environment was ever locked"])
    is_unclear = any(item.status is HolderStatus.SILENT for item in found.locks)
    return ExitCode.FINDINGS if is_unclear else ExitCode.GOOD


def run_unlock(options: argparse.Namespace) -> ExitCode:
    """Release exactly this lock, unless its holder may still write."""
    from holdtrue.core.locks import require_releasable  # noqa: PLC0415 - a command imports what it needs
    from holdtrue.credentials.environment_lock import listed  # noqa: PLC0415
    from holdtrue.errors import RejectedError  # noqa: PLC0415

    with unwound_on_termination():
        locks = open_configured_ledger().locks
        lock = locks.find(options.environment)
        if lock is None:
            raise RejectedError(
                "no lock of this environment is in the ledger",
                where=f"environment {options.environment}",
                next_step="check the name with `holdtrue locks`, and that HOLDTRUE_LEDGER_URL is the workers' ledger",
            )
        require_releasable(lock, listed(lock).status, options.fence)
        is_released = locks.release(lock.environment, options.fence)
    done = "released" if is_released else "was free already"
    show_lines([f"{lock.environment}: the lock with fence {options.fence} {done}"])
    return ExitCode.GOOD


def open_configured_ledger() -> "Ledger":
    """The ledger of the settings, which has to exist: a command does not make one.

    Raises:
        ResourceMissing: there is none.
    """
    from holdtrue.adapters.ledger import open_ledger  # noqa: PLC0415 - a command imports what it needs when it runs
    from holdtrue.settings import load_settings  # noqa: PLC0415 - same

    return open_ledger(load_settings().ledger_url.get_secret_value(), must_exist=True)


def _line(item: "ListedLock") -> str:
    from holdtrue.core.locks import holder_line  # noqa: PLC0415 - a command imports what it needs when it runs

    name = f"{item.lock.environment}: fence {item.lock.fence}"
    return f"{name}, free" if item.status is None else f"{name}, {holder_line(item.lock, item.status)}"
