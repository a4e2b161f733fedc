"""Read a file as text: ordinary ones only, no more than a lock file may have, in the encoding that it says."""

import codecs
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO, Final

from holdtrue.core.lockfiles import decode_text
from holdtrue.errors import RejectedError
from holdtrue.runtime.boundary import target_outside

_MEBIBYTE: Final = 1 << 20
_SIZE_LIMIT: Final = 64 * _MEBIBYTE
"""Lock files of a thousand packages have 3 MiB."""

_CODING: Final = re.compile(rb"\A(?:[^\n]*\n)?[ \t\f]*#[^\n]*?coding[:=][ \t]*([-\w.]+)")
"""In the first or second line, as in Python sources (PEP 263); pip reads requirements files so."""


def read_text(path: Path, *, boundary: Path | None = None) -> str:
    """The text of a file.

    Raises:
        RejectedError: it is not a regular file, is outside the boundary, cannot be read, is too big, or is not text.
    """
    data, _ = read_bytes(path, boundary=boundary)
    return decode(data, str(path))


def decode(data: bytes, where: str, *, may_say_coding: bool = False) -> str:
    """The text of a file: by its byte order mark, by its coding comment where that counts, else UTF-8.

    Raises:
        RejectedError: it is not text in that encoding.
    """
    try:
        return _decode_as_said(data) if may_say_coding and _CODING.match(data) else decode_text(data)
    except (UnicodeDecodeError, LookupError):
        raise RejectedError("the file is not text", where=where, next_step="save the file as UTF-8") from None


def _decode_as_said(data: bytes) -> str:
    """Raises LookupError for an encoding that is none of text, and UnicodeDecodeError."""
    said = _CODING.match(data)
    if said is None or data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return decode_text(data)
    return data.decode(said[1].decode("ascii", "replace"))


def read_bytes(path: Path, *, boundary: Path | None = None) -> tuple[bytes, os.stat_result]:
    """Content and state. Neither a pipe nor a device can make it wait, and no more than the limit is read.

    Args:
        path: The file.
        boundary: A folder that the file has to be in, whatever links and `..` the path has; None for any.

    Raises:
        RejectedError: it is not a regular file, is outside the boundary, cannot be read, or is too big.
    """
    if boundary is not None and (target := target_outside(boundary, path)):
        raise RejectedError(
            f"the file is outside of {boundary}: {target}",
            where=str(path),
            next_step="put the file itself into that folder",
        )
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise RejectedError(
                    "the file is not a regular one", where=str(path), next_step="name a file, or - for standard input"
                )
            data = file.read(_SIZE_LIMIT + 1) if state.st_size <= _SIZE_LIMIT else None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else "its path is none"
        raise RejectedError(
            f"the file cannot be read: {reason}",
            where=str(path),
            next_step="correct the path, or the rights to read it",
        ) from error
    if data is None or len(data) > _SIZE_LIMIT:
        raise _too_large(str(path))
    return data, state


def read_stream(stream: BinaryIO, where: str) -> bytes:
    """All that comes, to its end.

    Raises:
        RejectedError: it cannot be read, or is too big.
    """
    try:
        data = stream.read(_SIZE_LIMIT + 1)
    except OSError as error:
        raise RejectedError(f"it cannot be read: {error.strerror}", where=where, next_step="name a file") from error
    if len(data) > _SIZE_LIMIT:
        raise _too_large(where)
    return data


def _too_large(where: str) -> RejectedError:
    return RejectedError(
        f"the file is larger than {_SIZE_LIMIT // _MEBIBYTE} MiB",
        where=where,
        next_step="name a lock file; none of that size has been written by a tool",
    )


def _open_without_waiting(path: str, flags: int) -> int:
    """O_NONBLOCK: opening a pipe for reading waits for a writer otherwise."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
