"""The files of a Pulumi project, each with its hash: what the engine would run."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from holdtrue.adapters.pulumi.hashes import keyed_hash
from holdtrue.adapters.pulumi.workspace import Project

_NOT_ITS_OWN: Final = frozenset({"__pycache__", "node_modules", "site-packages"})
"""Folders of packages and caches. Hidden ones (`.git`, `.venv`, `.pytest_cache`) are left out too."""

_ENVIRONMENT: Final = "venv"
"""Left out as well if it is a virtual environment: a program may have a package of this name."""


def program_hashes(key: bytes, project: Project, settings_file: Path) -> dict[str, str]:
    """The hash of each file in the project's folder and in the program's, by its path relative to the project.

    Links are followed. The folder that a link leads to counts too: its files may be listed already, under another path.
    The stack's settings file is left out: its values are a part of their own.
    """
    folders = {project.folder, project.program if project.program.is_dir() else project.program.parent}
    paths = {path for folder in folders for path in _files_and_links(folder)} - {settings_file}
    return {
        os.path.relpath(path, project.folder): keyed_hash(
            key, _leads_to(path) if path.is_dir() else _content_hash(path)
        )
        for path in sorted(paths)
    }


def _leads_to(link: Path) -> str:
    """Where a link ends, relative to its own place, so that a copy of the project has the same hashes."""
    return os.path.relpath(os.path.realpath(link), os.path.realpath(link.parent))


def _files_and_links(project: Path) -> Iterator[Path]:
    """Every file, and every link to a folder."""
    seen: set[str] = set()
    for folder, below, names in os.walk(project, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # A link to a folder above it would never end.
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not _is_left_out(Path(folder, name)))
        yield from (path for name in below if (path := Path(folder, name)).is_symlink())
        yield from (path for name in names if (path := Path(folder, name)).is_file())


def _is_left_out(folder: Path) -> bool:
    if folder.name == _ENVIRONMENT:
        return (folder / "pyvenv.cfg").is_file()
    return folder.name in _NOT_ITS_OWN or folder.name.startswith(".")


def _content_hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "unreadable"  # The program runs as the same user, so it cannot read the file either.
