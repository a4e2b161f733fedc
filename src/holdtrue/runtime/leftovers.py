"""Private folders of killed runs: who made a folder, and when a later run may remove it.

Each private folder has a note of the process that made it. A folder is removed only if that process and all that it
started are certainly gone. Process id, start time, boot and pid namespace are compared. So neither a later process with
the same id, nor one in a container that shares the parent folder, is mistaken for that process.
"""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from holdtrue.models.lease import Liveness, ProcessIdentity
from holdtrue.models.sweep import FolderOutcome, SweptFolder
from holdtrue.runtime.liveness import current_process, liveness, observe
from holdtrue.runtime.removal import remove_tree
from holdtrue.runtime.starting_environment import starting_environment

_NOTE: Final = ".holdtrue-holder"
_NOTE_LIMIT_BYTES: Final = 4096
_PREFIXES: Final = ("holdtrue-", "ht-")
_START_SECONDS: Final = 60
"""A folder without a note that is younger than this belongs to a run that is just starting."""

_ToolsOf = Callable[[ProcessIdentity], Liveness]
"""Whether a tool of this process lives, looked up once for all of its folders."""

_STUBBORN: Final = "something in it is mounted, immutable or another user's; remove it by hand"
_NO_NOTE: Final = (
    "nothing in it says which process made it; remove it while no run of this user is active on this machine"
)


def sign(folder: Path) -> None:
    """Write a note into a new folder that this process made it."""
    descriptor = os.open(folder / _NOTE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(current_process().model_dump_json())


def remove_folder(folder: Path) -> None:
    """Remove it, its note last: when something stays in it, what is left can still be recognised. Raises no error."""
    remove_tree(folder, last=_NOTE)


def remove_leftovers(parent: Path) -> tuple[SweptFolder, ...]:
    """Remove the private folders of dead processes below `parent`. Return these and those that were left alone.

    Folders of processes that live are not in the result. Each removed folder is in one result only, even if two runs do
    this at the same time.

    Raises:
        OSError: the parent cannot be listed.
    """
    tools_of = cache(lambda holder: observe(holder).tools)
    with os.scandir(parent) as entries:
        names = sorted(entry.name for entry in entries if _may_be_private(entry))
    return tuple(found for name in names if (found := _treat(parent / name, tools_of)) is not None)


def _may_be_private(entry: "os.DirEntry[str]") -> bool:
    return entry.name.startswith(_PREFIXES) and (entry.is_symlink() or entry.is_dir(follow_symlinks=False))


def _treat(folder: Path, tools_of: _ToolsOf) -> SweptFolder | None:
    """Remove one folder if its process is dead. None when there is nothing to report: it is in use, or already gone."""
    try:
        with _opened(folder) as descriptor:
            owner = os.fstat(descriptor).st_uid
            if owner != os.geteuid():
                return _left(folder, f"it belongs to user {owner}")
            return _treat_own(folder, descriptor, tools_of)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            return _left(folder, "it is a link")
        if error.errno == errno.EACCES:
            return _left(folder, "this user may not open it")
        return None if error.errno == errno.ENOENT else _left(folder, f"it cannot be read: {error.strerror}")


def _treat_own(folder: Path, descriptor: int, tools_of: _ToolsOf) -> SweptFolder | None:
    with _locked_note(descriptor) as note:
        holder = _holder(note)
        if holder is None:
            is_starting = time.time() - os.fstat(descriptor).st_mtime < _START_SECONDS
            return None if is_starting else _left(folder, _NO_NOTE)
        if _is_in_use(folder, holder, tools_of):
            return None
        who = f"process {holder.pid} on {holder.host} created it"
        if doubt := _doubt(holder, tools_of):
            return _left(folder, f"{who}{doubt}")
        if not remove_tree(folder, last=_NOTE):
            return _left(folder, f"{who} and is gone, but not all of it can be removed: {_STUBBORN}")
        return SweptFolder(path=_shown(folder), outcome=FolderOutcome.REMOVED, detail=f"{who} and is gone")


def _is_in_use(folder: Path, holder: ProcessIdentity, tools_of: _ToolsOf) -> bool:
    match liveness(holder):
        case Liveness.ALIVE:
            return True
        case Liveness.DEAD:
            return tools_of(holder) is Liveness.ALIVE or _is_named_by_a_process(folder)
        case Liveness.UNKNOWN:
            return False


def _doubt(holder: ProcessIdentity, tools_of: _ToolsOf) -> str:
    """Why it is not certain that nobody uses the folder; empty when it is."""
    if liveness(holder) is Liveness.UNKNOWN:
        return ", in another container or before a restart, and cannot be seen from here"
    return "" if tools_of(holder) is Liveness.DEAD else " and is gone; what it has started cannot be seen by this user"


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _locked_note(folder: int) -> Iterator[bytes | None]:
    """The folder's note, locked against another run that removes the folder; None when it has none.

    Raises:
        FileNotFoundError: another run is removing the folder, or has removed it.
    """
    try:
        descriptor = os.open(_NOTE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        yield None
        return
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            yield None
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FileNotFoundError(errno.ENOENT, "another run is removing it") from error
        if os.fstat(descriptor).st_nlink == 0:
            raise FileNotFoundError(errno.ENOENT, "another run has removed it")
        yield os.read(descriptor, _NOTE_LIMIT_BYTES)
    finally:
        os.close(descriptor)


def _holder(note: bytes | None) -> ProcessIdentity | None:
    try:
        return None if note is None else ProcessIdentity.model_validate_json(note)
    except ValidationError:
        return None


def _is_named_by_a_process(folder: Path) -> bool:
    """Whether a process has the folder in its arguments or environment, such as one that uses an SSH agent in it."""
    wanted = os.fsencode(folder)
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are all that is needed
        if name.isdigit():
            with suppress(OSError):
                if any(wanted in variable for variable in starting_environment(int(name))):
                    return True
            with suppress(OSError):
                if wanted in Path("/proc", name, "cmdline").read_bytes():
                    return True
    return False


def _left(folder: Path, why: str) -> SweptFolder:
    return SweptFolder(path=_shown(folder), outcome=FolderOutcome.LEFT, detail=why)


def _shown(folder: Path) -> str:
    """The path as text that can be stored, whatever bytes it has."""
    return os.fsencode(folder).decode(errors="backslashreplace")
