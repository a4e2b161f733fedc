"""Private working folders that vanish with the run."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from holdtrue.errors import SettingInvalid
from holdtrue.settings import load_settings

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the point is that it is not a disk; the folder in it is 0700
_SETTING: Final = "HOLDTRUE_PRIVATE_FOLDERS"
LONGEST_PARENT_BYTES: Final = 31
"""A unix socket's path has at most 107 bytes (unix(7)). The longest of a run is `/ht-ssh-XXXXXXXX/m/`, then ssh's %C of
40 digits, and 17 bytes that ssh appends while it opens the socket."""


@contextmanager
def private_folder(prefix: str) -> Iterator[Path]:
    """A fresh 0700 folder, removed on every way out.

    It lies in HOLDTRUE_PRIVATE_FOLDERS, or else in memory where the machine has /dev/shm. The path stays short, because
    of the unix sockets below it.

    Raises:
        SettingInvalid: the setting names no folder that can be used.
    """
    folder = _make_folder(prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_folder(prefix: str) -> Path:
    chosen = load_settings().private_folders
    if chosen is None:
        return Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=_MEMORY if _MEMORY.is_dir() else None))
    where = f"{_SETTING}={chosen}"
    if not chosen.is_absolute():
        raise SettingInvalid("the path is not absolute", where=where, next_step="write the whole path")
    if len(os.fsencode(chosen)) > LONGEST_PARENT_BYTES:
        raise SettingInvalid(
            f"the path is longer than {LONGEST_PARENT_BYTES} bytes",
            where=where,
            next_step="choose a shorter one: unix sockets below it have a limit of 107 bytes",
        )
    try:
        return Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=chosen))
    except OSError as error:
        raise SettingInvalid(
            f"cannot create a private folder: {error.strerror}",
            where=where,
            next_step=f"create that folder, writable by the worker's user, or unset {_SETTING}",
        ) from error
