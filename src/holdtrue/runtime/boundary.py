"""Symbolic links below a folder that lead out of it.

A link that ends inside is fine, whatever it leads through: a folder that Kubernetes mounts from a ConfigMap holds
`site.yml -> ..data/site.yml` and `..data -> ..2026_11_30_10_00_00.1`.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_VIRTUAL_ENVIRONMENT: Final = "pyvenv.cfg"


@dataclass(frozen=True, slots=True)
class LinkOut:
    """A symbolic link, and the real path that it leads to, outside of the folder that it should stay in."""

    link: Path
    target: Path


def target_outside(root: Path, path: Path) -> Path | None:
    """The real path that a path leads to, by links or by `..`, when it is outside of `root`; None when it is inside."""
    target = Path(os.path.realpath(path))
    return None if target.is_relative_to(os.path.realpath(root)) else target


def link_out_of(root: Path, path: Path) -> LinkOut | None:
    """The link through which a path below `root` leads out of it: the path itself or a folder above it."""
    steps = [path, *(parent for parent in path.parents if parent != root and parent.is_relative_to(root))]
    found = (LinkOut(step, target) for step in reversed(steps) if (target := target_outside(root, step)))
    return next(found, None) if target_outside(root, path) else None


def links_below(root: Path, folder: Path) -> Iterator[LinkOut]:
    """The links below a folder that lead out of `root`; folders that a link inside leads to are searched as well.

    The programs of a virtual environment (`bin` beside a `pyvenv.cfg`) are left out, because its interpreter is such a
    link. A folder that cannot be listed is skipped: whatever reads it later reports that.
    """
    waiting, seen = [folder], set[str]()
    while waiting:
        current = waiting.pop()
        real = os.path.realpath(current)
        if real in seen:
            continue
        seen.add(real)
        for entry in _entries(current):
            path = current / entry.name
            if entry.is_symlink() and (found := link_out_of(root, path)):
                yield found
            elif _is_folder(entry) and not _holds_programs(path):
                waiting.append(path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link that leads to itself.
        return False


def _holds_programs(folder: Path) -> bool:
    return folder.name == "bin" and (folder.parent / _VIRTUAL_ENVIRONMENT).is_file()
