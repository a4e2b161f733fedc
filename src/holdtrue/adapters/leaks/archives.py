"""What is packed into a file: gzip, bzip2, xz, tar and zip, also within each other, unpacked in bounded memory.

Formats are told by their first bytes: RFC 1952, bzip2's and xz's format descriptions, POSIX ustar, PKWARE's APPNOTE.
"""

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, Final, cast

from holdtrue.adapters.leaks.record import SearchRecord

_CHUNK_BYTES: Final = 1 << 20
_HEAD_BYTES: Final = 512
_DEEPEST: Final = 8
"""Archives within archives; what is nested deeper is made to fill a disk."""
_MOST_UNPACKED_BYTES: Final = 4 << 30
"""Of one member: zeros pack a thousandfold."""
_MOST_KEPT_BYTES: Final = 64 << 20
"""Of a zip within another archive: its directory stands at its end, so it is kept in memory."""

_ARCHIVE: Final = re.compile(
    rb"\x1f\x8b\x08[\x00-\x1f]|BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)|\xfd7zXZ\x00|PK\x03\x04|.{257}ustar",
    re.DOTALL,
)

_DAMAGE: Final = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError, tarfile.TarError,
    zipfile.BadZipFile,
)  # fmt: skip
"""What the standard library raises for damaged, encrypted and unknown archives."""


def look_into(record: SearchRecord, place: str, stream: IO[bytes], *, depth: int = 0) -> None:
    """Search a file's bytes as they are and, when it is an archive, what it holds.

    Args:
        record: Takes what is found, and what could not be looked at.
        place: What the report calls it.
        stream: Open at its begin; one that cannot seek is read once.
        depth: How many archives it lies in.
    """
    try:
        head = _head(stream)
        if depth == 0:
            stream.seek(0)
            record.scan(place, _chunks(stream))
            stream.seek(0)
        else:
            stream = io.BufferedReader(_Member(head, stream), _CHUNK_BYTES)
        if _ARCHIVE.match(head):
            if depth == _DEEPEST:
                record.miss(place, f"it lies within {_DEEPEST} archives")
            else:
                _unpack(record, place, stream, head, depth + 1)
        elif depth:
            record.scan(place, _chunks(stream))
    except _DAMAGE as error:
        record.miss(place, f"it cannot be read to its end: {_said(error)}")


def _unpack(record: SearchRecord, place: str, stream: IO[bytes], head: bytes, depth: int) -> None:
    inner = f"{place}!"
    if head.startswith(b"\x1f\x8b\x08"):
        with gzip.GzipFile(fileobj=stream) as gunzipped:
            look_into(record, inner, cast("IO[bytes]", gunzipped), depth=depth)
    elif head.startswith(b"BZh"):
        with bz2.BZ2File(stream) as unpacked:
            look_into(record, inner, unpacked, depth=depth)
    elif head.startswith(b"\xfd7zXZ"):
        with lzma.LZMAFile(stream) as unpacked:
            look_into(record, inner, unpacked, depth=depth)
    elif head.startswith(b"PK"):
        _unpack_zip(record, place, stream, depth)
    else:
        _unpack_tar(record, place, stream, depth)


def _unpack_tar(record: SearchRecord, place: str, stream: IO[bytes], depth: int) -> None:
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            record.look_at_name(f"{place}!{member.name}", f"{member.name}\n{member.linkname}".encode(errors="replace"))
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                look_into(record, f"{place}!{member.name}", content, depth=depth)


def _unpack_zip(record: SearchRecord, place: str, stream: IO[bytes], depth: int) -> None:
    if depth > 1:
        kept = stream.read(_MOST_KEPT_BYTES + 1)
        if len(kept) > _MOST_KEPT_BYTES:
            record.miss(place, f"it is a zip of more than {_MOST_KEPT_BYTES >> 20} MiB within an archive")
            return
        stream = io.BytesIO(kept)
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            inner = f"{place}!{member.filename}"
            record.look_at_name(inner, member.filename.encode(errors="replace") + b"\n" + member.comment)
            if member.is_dir():
                continue
            try:
                with archive.open(member) as content:
                    look_into(record, inner, content, depth=depth)
            except _DAMAGE as error:
                record.miss(inner, f"it cannot be unpacked: {_said(error)}")


def _head(stream: IO[bytes]) -> bytes:
    head = b""
    while len(head) < _HEAD_BYTES and (chunk := _read(stream, _HEAD_BYTES - len(head))):
        head += chunk
    return head


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := _read(stream, _CHUNK_BYTES):
        yield chunk


def _read(stream: IO[bytes], size: int) -> bytes:
    """What there is: a full read of a damaged archive would lose what comes before the damage."""
    read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
    return read(size)


class _Member(io.RawIOBase):
    """A member of an archive with its head put back, which ends in an error instead of going on for ever."""

    def __init__(self, head: bytes, source: IO[bytes]) -> None:
        self._head = head
        self._source = source
        self._left = _MOST_UNPACKED_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        chunk = self._head[: len(view)] or _read(self._source, len(view))
        self._head = self._head[len(view) :]
        self._left -= len(chunk)
        if self._left < 0:
            raise ValueError(f"it unpacks to more than {_MOST_UNPACKED_BYTES >> 30} GiB")
        view[: len(chunk)] = chunk
        return len(chunk)


def _said(error: Exception) -> str:
    """The error's own words without a path: the place says which file."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
