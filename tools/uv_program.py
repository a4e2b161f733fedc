"""Finds uv on PATH, or installs it into a private environment in the machine cache."""

from __future__ import annotations

import shutil
from pathlib import Path

from tools.child import ChildResult, run_child
from tools.console import SetupFailedError, say
from tools.machine_cache import exclusive_lock
from tools.versions import Version, find_version

OLDEST_UV = Version(0, 9, 0)
"""Reads the lock file as it is written here (`uv sync --frozen` and `uv lock --check` tried with 0.9.0)."""
PRIVATE_UV = "0.13.9"
"""The version that is installed when there is none, and that the worker image uses."""
_QUESTION_TIMEOUT_SECONDS = 30.0
_INSTALL_TIMEOUT_SECONDS = 300.0


def obtain_uv(*, search_path: str, cache: Path, python: Path) -> Path:
    """Give the path of a uv that is new enough, installing version `PRIVATE_UV` with pip when there is none.

    Raises:
        SetupFailedError: there is no uv and `python` has neither venv nor pip, or the package index is out of reach.
    """
    found = shutil.which("uv", path=search_path)
    if found is not None:
        version = _ask_version(Path(found))
        if version is not None and version >= OLDEST_UV:
            return Path(found)
        say(f"{found} is {version or 'not usable'}, {OLDEST_UV} or newer is needed; using a private copy")
    folder = cache / "uv" / PRIVATE_UV
    program = folder / "bin" / "uv"
    with exclusive_lock(cache / "uv" / f"{PRIVATE_UV}.lock"):
        if _ask_version(program) is None:
            shutil.rmtree(folder, ignore_errors=True)
            say(f"installing uv {PRIVATE_UV} into {folder}")
            _install(folder, python)
    return program


def _ask_version(program: Path) -> Version | None:
    try:
        result = run_child((program, "--version"), timeout_seconds=_QUESTION_TIMEOUT_SECONDS)
    except OSError:
        return None
    return find_version(result.output) if result.succeeded else None


def _install(folder: Path, python: Path) -> None:
    """Install into a virtual environment, or beside it with the system's pip: Debian's Python may have only one."""
    requirement = f"uv=={PRIVATE_UV}"
    ways: tuple[tuple[tuple[str | Path, ...], ...], ...] = (
        ((python, "-m", "venv", folder), (folder / "bin" / "python", "-m", "pip", "install", "-q", requirement)),
        ((python, "-m", "pip", "install", "-q", "--target", folder, requirement),),
    )
    last: ChildResult | None = None
    for commands in ways:
        shutil.rmtree(folder, ignore_errors=True)
        for command in commands:
            last = run_child(command, timeout_seconds=_INSTALL_TIMEOUT_SECONDS)
            if not last.succeeded:
                break
        else:
            return
    shutil.rmtree(folder, ignore_errors=True)
    raise SetupFailedError(
        f"uv is not on PATH and cannot be installed with {python} (no venv and no pip, or no package index in reach); "
        f"install uv (https://docs.astral.sh/uv/) or, on Debian and Ubuntu, python3-venv, then repeat. "
        f"pip said:\n{last.tail() if last else ''}"
    )
