"""The documents in a dump file, one at a time: what is damaged is told, and what is made to fill a machine is refused.

The format is told by the first bytes: a zip, gzip of JSON lines, else JSON lines.
"""

import gzip
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from holdtrue.errors import RejectedError

_NEXT_STEP: Final = "name OSV's all.zip of PyPI, or a file with one OSV record a line, downloaded whole"
_LEAST_BYTES: Final = 256
_ENCRYPTED: Final = 0x1
_BOUNDED_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""OSV's methods. The standard library unpacks the others in one piece, however much that is."""
_DAMAGED_ARCHIVE: Final = (EOFError, RuntimeError, ValueError, struct.error, zlib.error, zipfile.BadZipFile)
"""What the standard library raises for damaged, encrypted and unknown archives, besides OSError."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a dump may be. OSV's PyPI dump stays a hundredfold below each of them.

    Attributes:
        document_bytes: Of one record, unpacked; a larger one cannot be read.
        total_bytes: Of all of them, unpacked; a larger dump is refused. A line counts as 256 bytes at least, so that
            empty ones are not read for hours.
        members: Files in a zip; a zip of more is refused.
        directory_bytes: Of the zip's own list of its files, which is read in one piece; a longer one is refused.
    """

    document_bytes: int = 16 << 20
    total_bytes: int = 8 << 30
    members: int = 1_000_000
    directory_bytes: int = 64 << 20


@contextmanager
def open_dump(path: Path) -> Iterator[IO[bytes]]:
    """The file, open for reading.

    Raises:
        RejectedError: there is none, it is a folder, device or pipe, or it may not be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its writer
            raise rejected("it is no file", path)
        file = path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        raise rejected(f"it cannot be opened: {_reason(error)}", path) from error
    with file:
        yield file


def read_documents(path: Path, file: IO[bytes], limits: Limits | None = None) -> Iterator[bytes | None]:
    """Each document's bytes, JSON or not; None for one that is damaged or too large.

    Raises:
        RejectedError: it is no whole archive, or larger than the limits.
    """
    limits = limits or Limits()
    total = 0
    try:
        head = file.read(4)
        file.seek(0)
        if head.startswith(b"PK"):
            documents = _members(path, file, limits)
        elif head.startswith(b"\x1f\x8b"):
            documents = _lines(cast("IO[bytes]", gzip.GzipFile(fileobj=file)), limits)
        else:
            documents = _lines(file, limits)
        for size, document in documents:
            total += max(size, _LEAST_BYTES)
            if total > limits.total_bytes:
                raise rejected(f"it holds more than {limits.total_bytes} bytes", path)
            if document != b"":
                yield document
    except _DAMAGED_ARCHIVE as error:
        raise rejected(f"it is damaged or not whole: {_reason(error)}", path) from error
    except OSError as error:
        raise rejected(f"it cannot be read to its end: {_reason(error)}", path) from error


def rejected(what: str, path: Path) -> RejectedError:
    """The one error of a file that is no dump."""
    return RejectedError(f"the advisory dump is of no use: {what}", where=str(path), next_step=_NEXT_STEP)


def _lines(file: IO[bytes], limits: Limits) -> Iterator[tuple[int, bytes | None]]:
    """The size of each piece read and its document; an empty one where there is none."""
    while line := file.readline(limits.document_bytes + 1):
        is_blank = not line.strip()
        yield len(line), b"" if is_blank else line if len(line) <= limits.document_bytes else None
        while len(line) > limits.document_bytes and not line.endswith(b"\n"):
            line = file.readline(limits.document_bytes + 1)
            yield len(line), b""


def _members(path: Path, file: IO[bytes], limits: Limits) -> Iterator[tuple[int, bytes | None]]:
    with zipfile.ZipFile(cast("IO[bytes]", _BoundedReads(path, file, limits.directory_bytes))) as archive:
        members = archive.infolist()
        if len(members) > limits.members:
            raise rejected(f"it holds more than {limits.members} files", path)
        for member in members:
            if member.filename.lower().endswith(".json"):
                document = _unpack(archive, member, limits)
                yield limits.document_bytes if document is None else len(document), document or None


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits) -> bytes | None:
    if member.compress_type not in _BOUNDED_METHODS or member.flag_bits & _ENCRYPTED:
        return None
    try:
        with archive.open(member) as content:
            document = content.read(limits.document_bytes + 1)
    except (OSError, *_DAMAGED_ARCHIVE):
        return None
    return document if len(document) <= limits.document_bytes else None


class _BoundedReads(io.RawIOBase):
    """A file of which no single read takes more than `most` bytes: the list of a zip's files is read in one."""

    def __init__(self, path: Path, file: IO[bytes], most: int) -> None:
        self._path = path
        self._file = file
        self._most = most

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        if size > self._most:
            raise rejected(f"its list of files is longer than {self._most} bytes", self._path)
        return self._file.read(size)


def _reason(error: Exception) -> str:
    """The error's own words without a path: `where` says which file."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
