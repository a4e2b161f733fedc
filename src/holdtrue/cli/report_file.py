"""The file that `holdtrue audit --output` names: the whole new report, or else what was there before."""

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


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
    regular file, such as a pipe, is written to as it is.

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
            unfinished.replace(target)

    def pass_on(text: str) -> None:
        with _refusal(path):
            target.write_bytes(text.encode(errors="backslashreplace"))

    with _refusal(path):
        mode = _mode(target)
        if mode is not None and not stat.S_ISREG(mode):
            write = pass_on
        else:
            unfinished.touch(exist_ok=False)
            write = replace
    try:
        yield write
    finally:
        with suppress(OSError):
            unfinished.unlink()


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
