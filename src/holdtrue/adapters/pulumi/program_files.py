"""The files of a Pulumi project, each with its hash: what the engine would run."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from holdtrue.adapters.pulumi.hashes import keyed_hash
from holdtrue.adapters.pulumi.workspace import Project

_NOT_ITS_OWN: Final = frozenset({"__pycache__", "node_modules", "site-packages", "venv"})
"""Folders of packages and caches. Hidden ones (`.git`, `.venv`, `.pytest_cache`) are left out too."""


def program_hashes(key: bytes, project: Project, settings_file: Path) -> dict[str, str]:
    """The hash of each file in the project's folder and in the program's, by its path relative to the project.

    Links are followed. The stack's settings file is left out, because its values are a separate part of the digest.
    """
    folders = {project.folder, project.program if project.program.is_dir() else project.program.parent}
    paths = {path for folder in folders for path in _files(folder)} - {settings_file}
    return {os.path.relpath(path, project.folder): keyed_hash(key, _content_hash(path)) for path in sorted(paths)}


def _files(project: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for folder, below, names in os.walk(project, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # A link to a folder above it would never end.
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if name not in _NOT_ITS_OWN and not name.startswith("."))
        yield from (path for name in names if (path := Path(folder, name)).is_file())


def _content_hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "unreadable"  # The program runs as the same user, so it cannot read the file either.
