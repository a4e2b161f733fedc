"""Private working folders that vanish with the run."""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from holdtrue.errors import SettingInvalid
from holdtrue.models.sweep import FolderOutcome
from holdtrue.runtime.leftovers import remove_folder, remove_leftovers, sign
from holdtrue.settings import load_settings

_LOGGER: Final = logging.getLogger(__name__)

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the point is that it is not a disk; the folder in it is 0700
_SETTING: Final = "HOLDTRUE_PRIVATE_FOLDERS"
LONGEST_PARENT_BYTES: Final = 31
"""A unix socket's path has at most 107 bytes (unix(7)). The longest of a run is `/ht-ssh-XXXXXXXX/m/`, then ssh's %C of
40 digits, and 17 bytes that ssh appends while it opens the socket."""


@contextmanager
def private_folder(prefix: str) -> Iterator[Path]:
    """A fresh 0700 folder, removed on every way out.

    It lies in HOLDTRUE_PRIVATE_FOLDERS, or else in memory where the machine has /dev/shm. The path stays short, because
    of the unix sockets below it. Leftovers of killed runs are removed from there first.

    Raises:
        SettingInvalid: the setting names no folder that can be used.
    """
    parent = private_parent()
    _tidy(parent)
    folder = _make_folder(prefix, parent)
    try:
        yield folder
    finally:
        remove_folder(folder)


def private_parent() -> Path:
    """Where this process makes its private folders.

    Raises:
        SettingInvalid: HOLDTRUE_PRIVATE_FOLDERS is not absolute or too long.
    """
    chosen = load_settings().private_folders
    if chosen is None:
        return _MEMORY if _MEMORY.is_dir() else Path(tempfile.gettempdir())
    where = f"{_SETTING}={chosen}"
    if not chosen.is_absolute():
        raise SettingInvalid("the path is not absolute", where=where, next_step="write the whole path")
    if len(os.fsencode(chosen)) > LONGEST_PARENT_BYTES:
        raise SettingInvalid(
            f"the path is longer than {LONGEST_PARENT_BYTES} bytes",
            where=where,
            next_step="choose a shorter one: unix sockets below it have a limit of 107 bytes",
        )
    return chosen


def _tidy(parent: Path) -> None:
    with suppress(OSError):  # Leftovers must not keep a run from working; a parent that cannot be used is named below.
        for found in remove_leftovers(parent):
            if found.outcome is FolderOutcome.REMOVED:
                _LOGGER.info("removed the private folder %s of a run that was killed: %s", found.path, found.detail)


def _make_folder(prefix: str, parent: Path) -> Path:
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=parent))
        try:
            sign(folder)
        except BaseException:
            remove_folder(folder)
            raise
    except OSError as error:
        raise SettingInvalid(
            f"cannot create a private folder in {parent}: {error.strerror}",
            where=f"{_SETTING}={load_settings().private_folders or ''}",
            next_step=f"create that folder, writable by the worker's user, or set {_SETTING} to another one",
        ) from error
    return folder
