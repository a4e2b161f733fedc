"""Removes a folder that strangers have filled: however deep it is, and never what is mounted in it.

`shutil.rmtree` is recursive up to Python 3.12, so a tree of a thousand levels ends it with a RecursionError. It also
empties a file system that is mounted below the folder.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FOLDER: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OWNER_ONLY: Final = 0o700


@dataclass(slots=True)
class _Level:
    """A folder on the way down: its name in the one above, which folder it is, and what is still to be removed."""

    name: str
    identity: tuple[int, int]
    folders: list[str]


def remove_tree(folder: Path, *, last: str | None = None) -> bool:
    """Remove the folder, and in it the file `last` only when all else is gone. Return whether the folder is gone.

    Folders that lack the owner's rights get them first. What cannot be removed (immutable, mounted, another user's)
    stays, with the folders above it; everything else is removed. A link is removed, and not what it leads to. A link in
    the place of the folder itself stays.
    """
    with suppress(OSError):
        with _entered(folder) as descriptor:
            walk = _Walk(descriptor)
            try:
                walk.run(keep=last)
            finally:
                walk.close()
            if walk.is_empty and last is not None:
                with suppress(FileNotFoundError):
                    os.unlink(last, dir_fd=descriptor)
        if walk.is_empty:
            folder.rmdir()
    return not os.path.lexists(folder)


class _Walk:
    """Empties one folder with two open descriptors at most, and returns through `..` from each folder below it."""

    def __init__(self, descriptor: int) -> None:
        self._current = os.dup(descriptor)
        self._levels = [_Level("", _identity(descriptor), [])]
        self.is_empty = True
        """Whether nothing had to be left so far, other than the file to keep."""

    def close(self) -> None:
        os.close(self._current)

    def run(self, keep: str | None) -> None:
        self._levels[0].folders = self._remove_files(keep)
        while True:
            level = self._levels[-1]
            if level.folders:
                self._go_down(level.folders.pop())
            elif len(self._levels) > 1:
                self._go_up()
            else:
                return

    def _remove_files(self, keep: str | None = None) -> list[str]:
        """Remove what is not a folder, and return the names of the folders."""
        with os.scandir(self._current) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries if entry.name != keep]
        for name, is_folder in found:
            if not is_folder:
                self._note(_failure_of(os.unlink, name, self._current))
        return [name for name, is_folder in found if is_folder]

    def _go_down(self, name: str) -> None:
        failure = _failure_of(os.rmdir, name, self._current)
        if failure not in {errno.ENOTEMPTY, errno.EEXIST}:
            self._note(failure)  # EBUSY for a mount point, before the kernel looks whether it is empty.
            return
        try:
            with _entered(name, self._current) as below:
                self._move_to(os.dup(below))
            self._levels.append(_Level(name, _identity(self._current), []))
            self._levels[-1].folders = self._remove_files()
        except OSError as error:
            self._note(error.errno)

    def _go_up(self) -> None:
        name = self._levels.pop().name
        self._move_to(os.open("..", os.O_RDONLY | _FOLDER, dir_fd=self._current))
        if _identity(self._current) != self._levels[-1].identity:
            self.is_empty = False
            raise OSError(errno.ESTALE, "the folder was moved while it was removed")
        self._note(_failure_of(os.rmdir, name, self._current))

    def _move_to(self, descriptor: int) -> None:
        os.close(self._current)
        self._current = descriptor

    def _note(self, failure: int | None) -> None:
        if failure not in {None, errno.ENOENT}:
            self.is_empty = False


@contextmanager
def _entered(folder: str | Path, above: int | None = None) -> Iterator[int]:
    """An open folder in which entries can be removed, as far as this user may arrange that."""
    place = os.open(folder, os.O_PATH | _FOLDER, dir_fd=above)
    try:
        if stat.S_IMODE(os.fstat(place).st_mode) & _OWNER_ONLY != _OWNER_ONLY:
            with suppress(OSError):
                os.chmod(f"/proc/self/fd/{place}", _OWNER_ONLY)  # noqa: PTH101 - fchmod takes no O_PATH descriptor
        descriptor = os.open(".", os.O_RDONLY | _FOLDER, dir_fd=place)
    finally:
        os.close(place)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def _failure_of(remove: Callable[..., None], name: str, above: int) -> int | None:
    """The error number of `os.unlink` or `os.rmdir`; None if the entry is gone."""
    try:
        remove(name, dir_fd=above)
    except OSError as error:
        return error.errno
    return None
