"""What is installed here: for an interpreter, in a virtual environment, in the unpacked file system of a container."""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from holdtrue.core.installed import KIND, InstalledEntry, read_package_folder
from holdtrue.errors import RejectedError, ToolMissing
from holdtrue.models.dependency import Gap, Inventory
from holdtrue.runtime.folder import private_folder
from holdtrue.runtime.package_probe import Search, read_entries, shown
from holdtrue.runtime.process import run_tool, tool_environment

_LIST_FOLDERS: Final = """
import json, os, site, sys
folders = list(sys.path)
if sys.prefix == sys.base_prefix:
    folders.append(site.getusersitepackages())
print(json.dumps([path for path in dict.fromkeys(map(os.path.abspath, folders)) if os.path.isdir(path)]))
"""
"""Isolated mode leaves out the user's own packages, which everything else that runs with this Python sees."""

_PACKAGE_FOLDERS: Final = frozenset({"site-packages", "dist-packages"})
_NOT_ON_DISK: Final = ("proc", "sys", "dev")
_NOTHING: Final = "holds no installed Python packages"


def list_environment(python: Path) -> tuple[Inventory, ...]:
    """One inventory for each folder in which an interpreter finds packages, with the folder's path as its label.

    One that sees no packages is one empty inventory with the interpreter's own label.

    Raises:
        RejectedError: it does not run as a Python 3 interpreter.
        ToolMissing: there is no such executable.
    """
    folders = [*_distinct(_ask_folders(python))]
    return _list_folders(folders) or (Inventory(str(python), KIND, (), (Gap(str(python), _NOTHING),)),)


def list_venv(folder: Path) -> tuple[Inventory, ...]:
    """One inventory for each package folder of a virtual environment; none of its programs is run.

    Raises:
        RejectedError: there is no package folder where environments have theirs.
    """
    patterns = [f"lib*/{python}/{name}" for python in ("python*", "pypy*") for name in sorted(_PACKAGE_FOLDERS)]
    found = [path for pattern in (*patterns, "Lib/site-packages") for path in sorted(folder.glob(pattern))]
    folders = [*_distinct(str(path.absolute()) for path in found if path.is_dir())]
    if not folders:
        raise RejectedError(
            "no virtual environment: it has no site-packages",
            where=str(folder),
            next_step="name the folder that holds pyvenv.cfg, or a Python interpreter",
        )
    inventories = _list_folders(folders) or (Inventory(folders[0], KIND, (), (Gap(folders[0], _NOTHING),)),)
    if not _sees_system_packages(folder / "pyvenv.cfg"):
        return inventories
    gap = Gap("pyvenv.cfg", "it also sees the packages of its base Python, which are not listed here")
    return (replace(inventories[0], gaps=(*inventories[0].gaps, gap)), *inventories[1:])


def list_folder(folder: Path, *, label: str) -> Inventory:
    """What one package folder holds; a folder that cannot be listed is a gap."""
    return replace(_list_folder(str(folder), as_seen=str(folder), follow_links=True), label=label)


def list_root(folder: Path) -> tuple[Inventory, ...]:
    """One inventory for each package folder in the file system of a container or image that lies in `folder`.

    Package folders are those named site-packages or dist-packages, and any other that holds a `*.dist-info`, as
    `pip install --target` makes them (not below `.cache`). Nothing is looked for inside of them but the copies that
    installers carry. No symbolic link is followed. What could not be searched is a gap of an inventory of the root.

    Raises:
        RejectedError: there is no such folder.
    """
    if not folder.is_dir():
        raise RejectedError("not a folder", where=str(folder), next_step="name an unpacked file system")
    root = str(folder.absolute()).rstrip("/")
    result = Search({f"{root}/{name}": "" for name in _NOT_ON_DISK})
    result.run([root or "/"])
    found = [
        _list_folder(path, as_seen=path.removeprefix(root) or "/", follow_links=False)
        for path in result.package_folders
    ]
    inventories = tuple(item for item in found if item.dependencies or item.gaps)
    gaps = [Gap(name, reason) for name, reason in result.problems]
    if not inventories:
        gaps.append(Gap(str(folder), _NOTHING))
    return (*inventories, *([Inventory(str(folder), KIND, (), tuple(gaps))] if gaps else []))


def _ask_folders(python: Path) -> list[str]:
    executable = shutil.which(python)
    if executable is None:
        raise ToolMissing("not an executable", where=str(python), next_step=f"name a Python such as {sys.executable}")
    lines: list[str] = []
    with private_folder("holdtrue-audit") as folder:
        run = run_tool(
            [str(Path(executable).absolute()), "-I", "-c", _LIST_FOLDERS],
            environment=tool_environment({}),
            folder=folder,
            on_line=lines.append,
            timeout_seconds=30,
        )
    try:
        listed: object = json.loads(lines[-1]) if run.exit_code == 0 and lines else None
    except ValueError:
        listed = None
    if not isinstance(listed, list):
        raise RejectedError(
            "does not run as a Python 3 interpreter", where=str(python), next_step=f"name one such as {sys.executable}"
        )
    return [item for item in listed if isinstance(item, str)]


def _distinct(folders: Iterator[str] | Sequence[str]) -> Iterator[str]:
    """Each once, under its first name: lib64 is mostly a link to lib."""
    seen: set[str] = set()
    for path in folders:
        real = os.path.realpath(path)
        if real not in seen:
            seen.add(real)
            yield path


def _list_folders(folders: Sequence[str]) -> tuple[Inventory, ...]:
    """Their inventories, without those that hold nothing. A .pth file may lead from one to another."""
    found = (_list_folder(path, as_seen=path, follow_links=True, others=folders) for path in folders)
    return tuple(item for item in found if item.dependencies or item.gaps)


def _list_folder(path: str, *, as_seen: str, follow_links: bool, others: Sequence[str] = ()) -> Inventory:
    label = shown(path)
    try:
        entries = [InstalledEntry(*entry) for entry in read_entries(path, follow_links=follow_links)]
    except OSError as error:
        return Inventory(label, KIND, (), (Gap(label, f"cannot be listed: {error.strerror}"),))
    return read_package_folder(entries, folder=as_seen, label=label, listed_folders=others)


def _sees_system_packages(configuration: Path) -> bool:
    """By pyvenv.cfg, read as Python's site module does: it does unless it says no."""
    try:
        lines = configuration.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    values = {key.strip().lower(): value.strip().lower() for key, _, value in (line.partition("=") for line in lines)}
    return values.get("include-system-site-packages", "true") == "true"
