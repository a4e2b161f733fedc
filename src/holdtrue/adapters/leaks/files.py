"""Files and folders, as grep -r goes through them: links are not followed, but their targets' names are looked at."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from holdtrue.adapters.leaks.archives import look_into
from holdtrue.adapters.leaks.record import SearchRecord
from holdtrue.models.leak import Files

FileId = tuple[int, int]
"""Device and inode: the same file by any name."""

_EXCLUDED: Final = "it is excluded, or the values come from it"
_GONE: Final = (errno.ENOENT, errno.ESTALE)


def search_files(record: SearchRecord, place: Files) -> None:
    """Look at every file once."""
    try:
        root = place.path.expanduser().resolve(strict=True)
        status = root.stat()
    except (OSError, RuntimeError) as error:
        record.miss(str(place.path), _said(error))
        return
    excluded = frozenset(identity for path in place.exclude if (identity := _identity(path)) is not None)
    if stat.S_ISDIR(status.st_mode):
        _search_folder(record, root, excluded)
    elif (status.st_dev, status.st_ino) in excluded:
        record.leave_out(str(root), _EXCLUDED)
    elif stat.S_ISREG(status.st_mode):
        _search_file(record, str(root))
    else:
        record.miss(str(root), "it is neither a file nor a folder")


def _search_folder(record: SearchRecord, root: Path, excluded: frozenset[FileId]) -> None:
    seen: set[FileId] = set()
    is_empty = True
    for entry, identity in _walk(record, root, excluded):
        is_empty = False
        record.look_at_name(entry.path, os.fsencode(entry.name))
        if entry.is_symlink():
            _search_link(record, entry.path)
        elif entry.is_file(follow_symlinks=False) and identity not in seen:
            seen.add(identity)
            _search_file(record, entry.path)
    if is_empty:
        record.miss(str(root), "nothing is in it")


def _identity(path: Path) -> FileId | None:
    """Which file this is; None when it is not there."""
    try:
        status = path.expanduser().stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _walk(record: SearchRecord, root: Path, excluded: frozenset[FileId]) -> Iterator[tuple["os.DirEntry[str]", FileId]]:
    """Everything below the folder; one that cannot be listed is a gap."""
    waiting = [str(root)]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    identity = _identity_of(entry)
                    if identity in excluded:
                        record.leave_out(entry.path, _EXCLUDED)
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    if identity is not None:
                        yield entry, identity
        except OSError as error:
            if error.errno not in _GONE or folder == str(root):
                record.miss(folder, _said(error))


def _identity_of(entry: "os.DirEntry[str]") -> FileId | None:
    """None when it is gone since its folder was listed."""
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _search_link(record: SearchRecord, path: str) -> None:
    try:
        record.look_at_name(path, os.fsencode(Path(path).readlink()))
    except OSError as error:
        if error.errno not in _GONE:
            record.miss(path, _said(error))


def _search_file(record: SearchRecord, path: str) -> None:
    """What vanishes meanwhile rests nowhere, and is no gap."""
    try:
        # Not blocking: a named pipe may take the file's place at any time.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in _GONE:
            record.miss(path, _said(error))
        return
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - it is open already
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            look_into(record, path, file)


def _said(error: OSError | RuntimeError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "its links go round in a circle"
