"""`make setup`: system programs, uv, the locked environment, the Pulumi CLI, and a stamp that says all is there.

Runs under any Python that the project supports, before the virtual environment exists.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tools.child import run_child
from tools.console import SetupFailedError, say
from tools.machine_cache import cache_folder, link_atomically, search_path_without
from tools.prerequisites import Machine, ensure_prerequisites
from tools.pulumi.obtain import obtain_pulumi
from tools.uv_program import obtain_uv

STAMP = ".setup-complete"
_SYNC_TIMEOUT_SECONDS = 1800.0
_COMPILE_TIMEOUT_SECONDS = 120.0
_QUESTION_TIMEOUT_SECONDS = 30.0
_PACKAGES = ("src", "blocks", "tasks", "flows", "sandbox")
_TERMINATED = 128 + signal.SIGTERM


def set_up(checkout: Path) -> None:
    """Make `checkout` ready for `make demo`, `make test` and `make check`; safe to repeat.

    Raises:
        SetupFailedError: something is missing that set-up cannot get by itself.
    """
    started = time.monotonic()
    cache = cache_folder(os.environ)
    venv = checkout / ".venv"
    search_path = search_path_without(venv / "bin", os.environ.get("PATH", os.defpath))
    ensure_prerequisites(Machine(is_root=os.geteuid() == 0, search_path=search_path))
    uv = obtain_uv(search_path=search_path, cache=cache, python=Path(sys.executable))
    drop_moved_environment(checkout)
    sync(checkout, uv)
    compile_sources(checkout)
    link_atomically(uv.absolute(), venv / "bin" / "uv")
    obtain_pulumi(checkout, search_path=search_path, cache=cache)
    (venv / STAMP).write_text(f"{checkout}\n", encoding="utf-8")
    say(f"ready ({time.monotonic() - started:.0f} s)")


def drop_moved_environment(checkout: Path) -> None:
    """Remove `.venv` if it was made for another folder: the first line of its scripts names the Python there."""
    stamp = checkout / ".venv" / STAMP
    if stamp.is_file() and stamp.read_text(encoding="utf-8").strip() != str(checkout):
        say("this checkout has moved; making .venv anew")
        shutil.rmtree(stamp.parent)


def sync(checkout: Path, uv: Path) -> None:
    """Install exactly what `uv.lock` names into `.venv`, compiled, keeping the Python of an environment that works.

    Each flow run is a new process that imports more than a thousand modules. Where nothing may write bytecode
    (`PYTHONDONTWRITEBYTECODE`, or a file system that is read-only) it would compile all of them each time.

    Raises:
        SetupFailedError: uv failed; its own message stands above.
    """
    say("installing the locked packages into .venv")
    environment = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "UV_PYTHON"}}
    environment |= {"UV_PYTHON_DOWNLOADS": "never", "UV_PROJECT_ENVIRONMENT": str(checkout / ".venv")}
    command: tuple[str | Path, ...] = (uv, "sync", "--frozen", "--quiet", "--compile-bytecode")
    if not _runs(checkout / ".venv" / "bin" / "python"):
        command = (*command, "--python", sys.executable)
    result = run_child(
        command, cwd=checkout, environment=environment, timeout_seconds=_SYNC_TIMEOUT_SECONDS, to_terminal=True
    )
    if not result.succeeded:
        raise SetupFailedError("`uv sync --frozen` failed; the reason stands above. Check the network, then repeat")


def compile_sources(checkout: Path) -> None:
    """Compile the packages of the checkout itself, which `uv` leaves as they are: they are not copied into `.venv`."""
    python = checkout / ".venv" / "bin" / "python"
    command = (python, "-m", "compileall", "-q", "-j", "0", *_PACKAGES)
    if not run_child(command, cwd=checkout, timeout_seconds=_COMPILE_TIMEOUT_SECONDS).succeeded:
        say("the sources could not be compiled; everything works, but each flow run starts more slowly")


def _runs(python: Path) -> bool:
    try:
        return run_child((python, "-c", ""), timeout_seconds=_QUESTION_TIMEOUT_SECONDS).succeeded
    except OSError:
        return False


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(_TERMINATED)


def main() -> None:
    """Set up the checkout that holds this file; end the process with one clear line when that is impossible."""
    # As an exception, so that children are ended and half-made folders are removed on the way out.
    signal.signal(signal.SIGTERM, _stop)
    try:
        set_up(Path(__file__).resolve().parents[1])
    except SetupFailedError as failure:
        sys.exit(f"setup: {failure}")


if __name__ == "__main__":
    main()
