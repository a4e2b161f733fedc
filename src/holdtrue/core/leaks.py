"""Known values found again in bytes: all forms of all values in one pass, however long the bytes are."""

import json
import re
import shlex
import sys
from array import array
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import unquote, unquote_plus

from holdtrue.core.redaction import base64_forms, encodings, refusal
from holdtrue.models.leak import Form, KnownValue

PARTIAL_LENGTH: Final = 12
"""So many characters of a long value's begin or end are searched for too: people and tools cut texts short."""

_LONG: Final = 2 * PARTIAL_LENGTH

_COMMON: Final = re.compile(
    r"-----(?:BEGIN|END) [A-Z0-9 ]+-----|eyJ[\w-]*\.(?:eyJ[\w-]*\.)?"
    r"|github_pat_|pypi-AgEI\w{14}|AGE-SECRET-KEY-1|sk-[a-z]+-|b3BlbnNzaC1rZXktdjEA[\w+/]*"
)
"""What all secrets of a kind have in common, so that finding it says nothing: of a JWT all but the signature, of an
OpenSSH key the first line."""

_LINE: Final = 76
"""Characters of the longest line of PEM and its like."""

_ARMOUR: Final = "-----BEGIN "
"""What is in PEM begins and ends as others of its kind do; its lines are looked for one by one."""

_STANDARD: Final = str.maketrans("-_", "+/")
"""From base64's URL-safe alphabet."""

_WORDS: Final[Mapping[int, str]] = {8: "Q", 4: "I"}
"""Sizes of the words that are looked up, and the type codes of `array` for them, the rarer first.

A form of at least twice the size less one byte holds one whole word at an aligned position, wherever the form begins.
"""


@dataclass(frozen=True, slots=True)
class Needle:
    """One form of one value."""

    name: str
    form: Form
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """A form that was found, so often, first at this offset in bytes."""

    name: str
    form: Form
    offset: int
    count: int


class NeedleIndex:
    """All forms of all values, made to be looked up quickly in many bytes."""

    def __init__(self, values: Iterable[KnownValue]) -> None:
        needles = [needle for value in values for needle in _needles(value)]
        wrapped = [replace(needle, form=Form.BASE64_WRAPPED) for needle in needles if needle.form is Form.BASE64]
        self.whole = WordIndex(_without_repetition(needles))
        self.joined = WordIndex(_without_repetition(wrapped))
        """The forms that a line end may cut anywhere, to be looked up where the lines have been joined."""

    def holds_any(self, data: bytes) -> bool:
        """Whether anything would be found in bytes that are all there."""
        return bool(search_bytes(self, data))


class WordIndex:
    """Instead of asking for each form, it asks whether any aligned word of the bytes is one that a form holds."""

    def __init__(self, needles: Iterable[Needle]) -> None:
        self._words: dict[int, dict[int, list[tuple[Needle, int]]]] = {size: {} for size in _WORDS}
        self.longest = 0
        """Bytes of the longest form."""
        for needle in needles:
            self._add(needle)

    def find(self, data: bytes) -> list[tuple[int, Needle]]:
        """Offset and form of every occurrence, in no order."""
        found: list[tuple[int, Needle]] = []
        for size, code in _WORDS.items():
            words = self._words[size]
            aligned = array(code)
            aligned.frombytes(memoryview(data)[: len(data) // size * size])
            if not words or words.keys().isdisjoint(aligned):
                continue
            for index, word in enumerate(aligned):
                for needle, offset in words.get(word, ()):
                    start = index * size - offset
                    if start >= 0 and data.startswith(needle.content, start):
                        found.append((start, needle))
        return found

    def _add(self, needle: Needle) -> None:
        content = needle.content
        size = next(size for size in _WORDS if len(content) >= 2 * size - 1)
        # The middle, because secrets of one kind begin alike.
        middle = (len(content) - 2 * size + 1) // 2
        for offset in range(middle, middle + size):
            word = int.from_bytes(content[offset : offset + size], sys.byteorder)
            self._words[size].setdefault(word, []).append((needle, offset))
        self.longest = max(self.longest, len(content))


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
        for start, needle in sorted(self._index.find(data), key=lambda item: (item[0], -len(item[1].content))):
            at = self._held_at + start
            covered = self._covered.get(needle.name, 0)
            if start >= decided:
                break
            self._covered[needle.name] = max(covered, at + len(needle.content))
            if at < covered:
                continue
            key = (needle.name, needle.form)
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


def _needles(value: KnownValue) -> Iterator[Needle]:
    text = value.value.get_secret_value()
    for form in encodings(text):
        if len(form) > _LINE or _COMMON.sub("", form):
            yield Needle(value.name, _form_of(form, text), form.encode(errors="surrogatepass"))
    for variant in {text, text.strip()}:
        yield from (Needle(value.name, form, content) for form, content in _wide(variant))
    own = _COMMON.sub("", text).strip()
    if len(own) >= _LONG and _ARMOUR not in text:
        yield from _partial(value.name, Form.HEAD, own[:PARTIAL_LENGTH])
        yield from _partial(value.name, Form.TAIL, own[-PARTIAL_LENGTH:])


def _partial(name: str, form: Form, text: str) -> Iterator[Needle]:
    if refusal(text) is None:
        yield Needle(name, form, text.encode(errors="surrogatepass"))


def _wide(text: str) -> Iterator[tuple[Form, bytes]]:
    """As Windows and its tools write it: two bytes a character, and base64 of that (`powershell -EncodedCommand`)."""
    for codec in ("utf-16-le", "utf-16-be"):
        raw = text.encode(codec, errors="surrogatepass")
        yield Form.UTF16, raw
        yield from ((Form.UTF16, form.encode()) for form in base64_forms(raw))
    with suppress(UnicodeEncodeError):
        raw = text.encode("latin-1")
        if not text.isascii():
            yield Form.ESCAPED, raw


def _without_repetition(needles: Iterable[Needle]) -> Iterator[Needle]:
    """Of several forms with the same bytes the first: that is the plainest."""
    seen: set[tuple[str, bytes]] = set()
    for needle in sorted(needles, key=lambda needle: list(Form).index(needle.form)):
        key = (needle.name, needle.content)
        if key not in seen:
            seen.add(key)
            yield needle


def _form_of(form: str, text: str) -> Form:  # noqa: PLR0911 - one form each
    """Which form of the text this is, told by undoing it."""
    variants = {text, text.strip()}
    if form in variants:
        return Form.PLAIN
    if form in text:
        return Form.LINE
    if any(form.lower() == variant.encode(errors="surrogatepass").hex() for variant in variants):
        return Form.HEX
    raw = text.encode(errors="surrogatepass")
    with suppress(ValueError):
        if b64decode(form.translate(_STANDARD), validate=True) in raw:
            return Form.BASE64
    with suppress(ValueError):
        if json.loads(f'"{form}"', strict=False) in variants:
            return Form.JSON
    if unquote(form) in variants or unquote_plus(form) in variants:
        return Form.URL
    for quoted in (form, f"'{form}'", f'"{form}"'):
        with suppress(ValueError):
            if shlex.split(quoted) in [[variant] for variant in variants]:
                return Form.SHELL
    return Form.ESCAPED
