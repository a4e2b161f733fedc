"""Known values found again in bytes: all forms of all values in one pass, however long the bytes are."""

import sys
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from holdtrue.core.leak_needles import Needle, needles_of
from holdtrue.core.spelling import Spelling
from holdtrue.models.leak import Form, KnownValue

_WORDS: Final[Mapping[int, str]] = {8: "Q", 4: "I"}
"""Sizes of the words that are looked up, and the type codes of `array` for them, the rarer first.

Wherever an anchor begins, it contains a whole word at an aligned position if it is twice the size less one byte long.
"""


@dataclass(frozen=True, slots=True)
class Found:
    """A form that was found: how often, and the offset in bytes of the first."""

    name: str
    form: Form
    offset: int
    count: int


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One place of one form."""

    start: int
    end: int
    name: str
    form: Form


class NeedleIndex:
    """All forms of all values, made to be looked up quickly in many bytes."""

    def __init__(self, values: Iterable[KnownValue]) -> None:
        needles = [needle for value in values for needle in needles_of(value)]
        self.whole = WordIndex(needles)
        self.joined = WordIndex(
            replace(needle, form=Form.BASE64_WRAPPED) for needle in needles if needle.form is Form.BASE64
        )
        """The forms that a line end may cut anywhere, to be looked up where the lines have been joined."""

    def holds_any(self, data: bytes) -> bool:
        """Whether anything would be found in bytes that are all there."""
        return bool(search_bytes(self, data))


class WordIndex:
    """Does not search for each form: it looks up each aligned word of the bytes among the words of all anchors."""

    def __init__(self, needles: Iterable[Needle]) -> None:
        self._words: dict[int, dict[int, list[tuple[Needle, Spelling, int]]]] = {size: {} for size in _WORDS}
        self.longest = 0
        """Bytes of the longest form."""
        for needle in needles:
            self._add(needle)

    def find(self, data: bytes) -> list[Occurrence]:
        """Every occurrence of every form, in no order."""
        found: list[Occurrence] = []
        text = ""
        for size, code in _WORDS.items():
            words = self._words[size]
            aligned = array(code)
            aligned.frombytes(memoryview(data)[: len(data) // size * size])
            if not words or words.keys().isdisjoint(aligned):
                continue
            text = text or data.decode("latin-1")
            for index, word in enumerate(aligned):
                for needle, spelling, offset in words.get(word, ()):
                    at = index * size - offset
                    if at >= 0 and (span := spelling.match(text, at)):
                        found.append(Occurrence(*span, needle.name, needle.form_of(text[slice(*span)])))
        return found

    def _add(self, needle: Needle) -> None:
        size = next(size for size in _WORDS if needle.has_plain(2 * size - 1) or size == min(_WORDS))
        spelling = needle.spelling(2 * size - 1)
        anchors = [anchor.encode("latin-1") for anchor in spelling.anchors()]
        for word, offset in {(anchor[at : at + size], at) for anchor in anchors for at in range(size)}:
            entries = self._words[size].setdefault(int.from_bytes(word, sys.byteorder), [])
            entries.append((needle, spelling, offset))
        self.longest = max(self.longest, spelling.longest)


class StreamSearch:
    """Searches bytes that come in chunks as if they were whole: no form is missed, however it is cut."""

    def __init__(self, index: NeedleIndex) -> None:
        self._whole = _Pass(index.whole)
        self._joined = _Pass(index.joined)
        self._backslash = b""

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes; one less than the longest form is kept for the ones after."""
        self._whole.feed(chunk)
        data = self._backslash + chunk
        # The second half of an escaped line end may come with the next chunk.
        self._backslash = b"\\" if data.endswith(b"\\") else b""
        self._joined.feed(_without_line_ends(data.removesuffix(b"\\")))

    def finish(self) -> tuple[Found, ...]:
        """Look at the rest, and tell what was found. Where lines were joined, the offset leaves out their ends."""
        self._joined.feed(self._backslash)
        found = {(item.name, item.form): item for item in self._whole.finish()}
        for item in self._joined.finish():
            in_one_line = found.get((item.name, Form.BASE64))
            wrapped = item.count - (in_one_line.count if in_one_line else 0)
            if wrapped > 0:
                found[item.name, item.form] = replace(item, count=wrapped)
        return tuple(found.values())


class _Pass:
    """One way to read the bytes: as they are, or with the lines joined."""

    def __init__(self, index: WordIndex) -> None:
        self._index = index
        self._held = b""
        self._held_at = 0
        self._covered: dict[str, int] = {}
        """Where the last occurrence of each value ends: a part of what was found is not found again."""
        self._found: dict[tuple[str, Form], Found] = {}

    def feed(self, chunk: bytes) -> None:
        data = self._held + chunk
        self._advance(data, max(len(data) - max(self._index.longest - 1, 0), 0))

    def finish(self) -> tuple[Found, ...]:
        self._advance(self._held, len(self._held))
        return tuple(self._found.values())

    def _advance(self, data: bytes, decided: int) -> None:
        """Take what begins before `decided`: a form that begins there is known whole."""
        for occurrence in sorted(self._index.find(data), key=lambda item: (item.start, -item.end)):
            at = self._held_at + occurrence.start
            covered = self._covered.get(occurrence.name, 0)
            if occurrence.start >= decided:
                break
            self._covered[occurrence.name] = max(covered, self._held_at + occurrence.end)
            if at < covered:
                continue
            key = (occurrence.name, occurrence.form)
            earlier = self._found.get(key)
            self._found[key] = Found(
                *key, offset=earlier.offset if earlier else at, count=earlier.count + 1 if earlier else 1
            )
        self._held, self._held_at = data[decided:], self._held_at + decided


def _without_line_ends(data: bytes) -> bytes:
    """Also without those that JSON and Python write as two characters."""
    return data.translate(None, b"\r\n").replace(b"\\n", b"").replace(b"\\r", b"")


def search_bytes(index: NeedleIndex, data: bytes) -> tuple[Found, ...]:
    """What is found in bytes that are all there."""
    search = StreamSearch(index)
    search.feed(data)
    return search.finish()
