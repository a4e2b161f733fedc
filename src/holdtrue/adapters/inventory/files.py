"""Inventories from files: the format by the file's name, requirements with everything they include."""

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Final, TypeAlias

from holdtrue.core.lockfiles import (
    Needs,
    decode_text,
    mark_internal,
    parse_pdm_lock,
    parse_pipfile_lock,
    parse_poetry_lock,
    parse_pylock,
    parse_uv_lock,
    read_needs,
)
from holdtrue.core.requirements import Include, RequirementLine, join_requirements, parse_requirements
from holdtrue.errors import RejectedError
from holdtrue.models.dependency import Gap, Inventory

_MEBIBYTE: Final = 1 << 20
_SIZE_LIMIT: Final = 64 * _MEBIBYTE
"""Lock files of a thousand packages have 3 MiB."""

Parser: TypeAlias = Callable[[str, str], Inventory]
"""From text and label."""

ProjectParser: TypeAlias = Callable[[str, str, Needs | None], Inventory]
"""From text, label, and what the pyproject.toml beside the file asks for (None when it does not tell)."""


def parse_conda(text: str, label: str) -> Inventory:
    """See `holdtrue.core.conda`, which brings a YAML reader that most audits have no use for."""
    from holdtrue.core import conda  # noqa: PLC0415

    return conda.parse_conda(text, label)


def parse_sbom(text: str, label: str) -> Inventory:
    """See `holdtrue.core.sbom`; as above."""
    from holdtrue.core import sbom  # noqa: PLC0415

    return sbom.parse_sbom(text, label)


CONDA: Final = ("conda-lock*.y*ml", "environment*.y*ml", "conda*.json", "conda*.txt")

PARSERS: Final[dict[str, Parser]] = {
    "uv.lock": parse_uv_lock,
    "*.py.lock": parse_uv_lock,
    "Pipfile.lock": parse_pipfile_lock,
    "pylock.toml": parse_pylock,
    "pylock.*.toml": parse_pylock,
    **dict.fromkeys(CONDA, parse_conda),
    "*bom*.json": parse_sbom,
    "*bom*.xml": parse_sbom,
    "*.cdx.json": parse_sbom,
    "*.cdx.xml": parse_sbom,
    "*.spdx": parse_sbom,
    "*.spdx.json": parse_sbom,
}
"""By shell pattern of the file's name; the first that matches counts."""

PROJECT_PARSERS: Final[dict[str, ProjectParser]] = {"poetry.lock": parse_poetry_lock, "pdm.lock": parse_pdm_lock}

REQUIREMENTS: Final = ("*.txt", "*.in", "requirements*.lock")

PROJECT_LOCKS: Final = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml", "pylock.*.toml")
"""The files that lock a whole project, beside which its requirements files say nothing more."""

_BESIDE_LOCKS: Final = ("*.py.lock", "conda-lock*.y*ml", "environment*.y*ml")
"""What a project's lock file does not hold: scripts, and what conda installs."""

_PROJECT_REQUIREMENTS: Final = ("*requirements*.txt", "requirements*.lock", "requirements")
_REQUIREMENTS_FOLDER: Final = "requirements"


def read_file(path: Path, *, internal_names: Sequence[str] = (), label: str | None = None) -> Inventory:
    """The inventory of one file, with everything that it includes.

    Args:
        path: The file; its name tells the format.
        internal_names: Shell patterns for names of the organisation's own packages.
        label: What people call it; the path when not given.

    Raises:
        RejectedError: it is no regular file, is too big, cannot be read, is of no known format, or is not what its
            name promises. A file that it includes and that cannot be read is a gap.
    """
    inventory = _read(path, str(path) if label is None else label)
    return mark_internal(inventory, internal_names)


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
    return _matches(path.name, CONDA)


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


def _read(path: Path, label: str) -> Inventory:
    name = path.name
    for pattern, parse in PARSERS.items():
        if fnmatchcase(name, pattern):
            return parse(_read_text(path), label)
    for pattern, parse_in_project in PROJECT_PARSERS.items():
        if fnmatchcase(name, pattern):
            return parse_in_project(_read_text(path), label, _read_needs(path))
    if _matches(name.lower(), REQUIREMENTS) or "." not in name:
        return _read_requirements(path, label)
    known = (*PARSERS, *PROJECT_PARSERS, *REQUIREMENTS)
    raise RejectedError(
        "the file's name tells no format that is known", where=str(path), next_step=f"name one of {', '.join(known)}"
    )


def _read_needs(lock: Path) -> Needs | None:
    try:
        return read_needs(_read_text(lock.parent / "pyproject.toml"))
    except RejectedError:
        return None


def _read_requirements(path: Path, label: str) -> Inventory:
    requirements: list[RequirementLine] = []
    constraints: list[RequirementLine] = []
    waiting = deque([(path, "", False)])
    seen: set[tuple[int, int, bool]] = set()
    while waiting:
        file, shown, is_constraint = waiting.popleft()
        try:
            data, state = _read_bytes(file)
            text = _decode(data, file)
        except RejectedError as error:
            if not shown:
                raise
            requirements.append(Gap(shown, f"included, but {error.what}"))
            continue
        # By what it is, not by its name: a cycle of includes may lead through symbolic links.
        identity = (state.st_dev, state.st_ino, is_constraint)
        if identity in seen:
            continue
        seen.add(identity)
        for line in parse_requirements(text, file=shown):
            if isinstance(line, Include):
                inner = str(PurePath(shown).parent / line.path)
                waiting.append((file.parent / line.path, inner, is_constraint or line.is_constraint))
            else:
                (constraints if is_constraint else requirements).append(line)
    return join_requirements(requirements, constraints, label=label)


def _read_text(path: Path) -> str:
    data, _ = _read_bytes(path)
    return _decode(data, path)


def _decode(data: bytes, path: Path) -> str:
    try:
        return decode_text(data)
    except UnicodeDecodeError:
        raise RejectedError("the file is not text", where=str(path), next_step="save the file as UTF-8") from None


def _open_without_waiting(path: str, flags: int) -> int:
    """O_NONBLOCK: opening a pipe for reading waits for a writer otherwise."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _read_bytes(path: Path) -> tuple[bytes, os.stat_result]:
    """Content and state. Neither a pipe nor a device can make it wait, and no more than the limit is read."""
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise RejectedError("the file is not a regular one", where=str(path), next_step="name a file")
            data = file.read(_SIZE_LIMIT + 1) if state.st_size <= _SIZE_LIMIT else None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else "its path is none"
        raise RejectedError(
            f"the file cannot be read: {reason}",
            where=str(path),
            next_step="correct the path, or the rights to read it",
        ) from error
    if data is None or len(data) > _SIZE_LIMIT:
        raise RejectedError(
            f"the file is larger than {_SIZE_LIMIT // _MEBIBYTE} MiB",
            where=str(path),
            next_step="name a lock file; none of that size has been written by a tool",
        )
    return data, state
