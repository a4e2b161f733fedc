"""Which files of a project's folder tell its packages, and what to do where none does."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from holdtrue.adapters.inventory.text_file import read_text
from holdtrue.core.file_format import CONDA_NAMES, FileFormat, by_name, lock_command
from holdtrue.errors import RejectedError

PROJECT_LOCKS: Final = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml", "pylock.*.toml")
"""The files that lock a whole project, beside which its requirements files say nothing more."""

_BESIDE_LOCKS: Final = ("*.py.lock", "conda-lock*.y*ml", "environment*.y*ml")
"""What a project's lock file does not hold: scripts, and what conda installs."""

_PROJECT_REQUIREMENTS: Final = ("*requirements*.txt", "requirements*.lock", "requirements")
_REQUIREMENTS_FOLDER: Final = "requirements"


def find_files(project: Path) -> tuple[Path, ...]:
    """What tells a project's packages: its lock files, or else its requirements files; conda's in both cases.

    Requirements files are `*requirements*.txt`, `requirements*.lock`, and every `*.txt` and `requirements*.lock` below
    the folder `requirements`; sources of compiled ones (`*.in`) are not. Locks of scripts (`*.py.lock`) are listed in
    both cases too. Bills of materials are not: they tell what somebody found, and the audit writes some itself.
    No other folder is looked into, nor one behind a link inside of `requirements`. Nothing found is an empty tuple.
    What bears such a name and is no readable file is listed too, so that reading it tells what is wrong.

    Raises:
        RejectedError: it is no folder, or a folder cannot be listed.
    """
    files, folders = _list(project)
    locks = [path for path in files if _matches(path.name, PROJECT_LOCKS)]
    beside = [path for path in files if _matches(path.name, _BESIDE_LOCKS)]
    if locks:
        return (*locks, *beside)
    requirements = [path for path in files if _is_requirements(path.name)]
    below = [path for folder in folders if folder.name == _REQUIREMENTS_FOLDER for path in _walk(folder)]
    return (*requirements, *below, *beside)


def may_be_another_tools(path: Path) -> bool:
    """Whether a file that was found, and not named by anybody, bears a name of conda's that others use as well."""
    return _matches(path.name, CONDA_NAMES)


def why_nothing(project: Path) -> str:
    """Why a folder in which no file was found has none, and what to do about it."""
    reason = "has no lock file and no requirements file"
    declared = [path for path in _list(project)[0] if by_name(path.name) is FileFormat.PROJECT]
    return f"{reason}: lock the project with `{_command(declared[0])}` first" if declared else reason


def unlocked(path: Path, text: str) -> RejectedError:
    """The refusal of a file that says what a project asks for, and not at which versions it is installed."""
    try:
        locks = [item.name for item in find_files(path.parent) if _matches(item.name, PROJECT_LOCKS)]
    except RejectedError:
        locks = []
    if locks:
        next_step = f"audit what is locked: {', '.join(str(path.parent / name) for name in locks)}"
    else:
        next_step = f"lock it first with `{lock_command(path.name, text)}`, then audit the lock file (uv.lock or other)"
    return RejectedError(
        "it says what the project asks for, not at which versions that is installed",
        where=str(path),
        next_step=next_step,
    )


def _command(path: Path) -> str:
    try:
        return lock_command(path.name, read_text(path))
    except RejectedError:
        return lock_command(path.name, "")


def _is_requirements(name: str) -> bool:
    return _matches(name.lower(), _PROJECT_REQUIREMENTS)


def _walk(folder: Path) -> Iterator[Path]:
    """The requirements files in it and below."""
    waiting = [folder]
    while waiting:
        files, folders = _list(waiting.pop())
        yield from (path for path in files if path.name.lower().endswith(".txt") or _is_requirements(path.name))
        waiting.extend(path for path in reversed(folders) if not path.is_symlink())


def _list(folder: Path) -> tuple[list[Path], list[Path]]:
    """What is no folder in it, and the folders, each by name."""
    try:
        found = sorted(folder.iterdir())
        folders = {path for path in found if path.is_dir()}
    except OSError as error:
        raise RejectedError(
            f"the folder cannot be listed: {error.strerror}", where=str(folder), next_step="name a project's folder"
        ) from error
    return [path for path in found if path not in folders], [path for path in found if path in folders]


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
