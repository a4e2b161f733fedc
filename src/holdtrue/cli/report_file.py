"""The file that `holdtrue audit --output` names: the whole new report, or else what was there before."""

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_NOT_TO_BE_REPLACED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EXDEV})
"""What a file answers, or its folder, that may be written to all the same."""


def is_standard_output(path: Path | None) -> bool:
    """Whether no file is named, or `-`, or what standard output goes to anyway, such as `/dev/stdout`."""
    if path is None or path == Path("-"):
        return True
    if sys.stdout is None:
        return False
    try:
        return os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    except OSError:
        return False


def refuse_inputs(path: Path, inputs: Iterable[Path]) -> None:
    """Refuse a report that would replace what it is about.

    Raises:
        RejectedError: the file is one of these.
    """
    from holdtrue.errors import RejectedError  # noqa: PLC0415 - a command imports what it needs when it runs

    for item in inputs:
        with suppress(OSError):
            if path.samefile(item):
                raise RejectedError(
                    "the report would replace a file that is read", where=str(path), next_step="name another file"
                )


@contextmanager
def replacing(path: Path) -> Iterator[Callable[[str], None]]:
    """Make ready to write that file, before anything is asked, and yield what writes it.

    Links are followed, the mode of a file that is there is kept, and nothing unfinished is left behind. What is no
    regular file, such as a pipe, is written to as it is. So is a file that may be written to but not replaced, as in
    a folder of somebody else's or a mounted one; only there a report that does not fit is half a report.

    Raises:
        RejectedError: it cannot be written; also when the report does not fit, and then nothing is replaced.
    """
    target = Path(os.path.realpath(path))
    unfinished = target.with_name(f".holdtrue-{os.urandom(8).hex()}.unfinished")

    def replace(text: str) -> None:
        with _refusal(path):
            with unfinished.open("r+b") as file:
                file.write(text.encode(errors="backslashreplace"))
                file.flush()
                os.fsync(file.fileno())
            if mode is not None:
                unfinished.chmod(stat.S_IMODE(mode))
            try:
                unfinished.replace(target)
            except OSError as error:
                if error.errno not in _NOT_TO_BE_REPLACED or mode is None:
                    raise
                pass_on(text)

    def pass_on(text: str) -> None:
        with _refusal(path), path.open("ab" if _is_stream(path) else "wb") as file:
            file.write(text.encode(errors="backslashreplace"))

    write = replace
    with _refusal(path):
        mode = _mode(path)
        if _is_stream(path) or (mode is not None and not stat.S_ISREG(mode)):
            write = pass_on
        else:
            try:
                unfinished.touch(exist_ok=False)
            except OSError as error:
                if error.errno not in _NOT_TO_BE_REPLACED or mode is None:
                    raise
                write = pass_on
    try:
        yield write
    finally:
        with suppress(OSError):
            unfinished.unlink()


def _is_stream(path: Path) -> bool:
    """Whether it is one of this process's open files, such as `/dev/stderr` or what a shell makes of `>(program)`."""
    parts = path.absolute().parts
    return parts[1:2] == ("proc",) or parts[1:3] in {("dev", "fd"), ("dev", "stdout"), ("dev", "stderr")}


def _mode(target: Path) -> int | None:
    """Of what is there now; None for nothing.

    Raises:
        OSError: it is nothing that this process may write to.
    """
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return mode


@contextmanager
def _refusal(path: Path) -> Iterator[None]:
    from holdtrue.errors import RejectedError  # noqa: PLC0415 - a command imports what it needs when it runs

    try:
        yield
    except OSError as error:
        raise RejectedError(
            f"the report cannot be written: {error.strerror}", where=str(path), next_step="name another file"
        ) from error
