"""Finds a text however its characters are escaped: each may have any of its spellings."""

from collections.abc import Callable, Collection, Iterable, Iterator
from math import prod
from typing import Final

from holdtrue.core.escapes import PLAIN, is_plain, plain_stretches, spellings
from holdtrue.core.spans import Span

Unit = tuple[str, ...]
"""The spellings of one character, or a stretch of characters that no program escapes."""

ANCHOR_LENGTH: Final = 8
END_LENGTH: Final = 4
"""This many characters of a text's beginning or end are enough where a program has cut off the rest."""

_AROUND_MIDDLE: Final = 50
"""How far from the middle an anchor is looked for in a text without a plain stretch."""


class Spelling:
    """A text that is looked up by its anchor, the part with the fewest spellings, and compared from there.

    The anchor is in the middle, if possible: secrets of one kind begin alike (`hvs.`, `eyJhbGciOi`).
    """

    __slots__ = ("_anchor", "_anchor_length", "_spell", "_text")

    def __init__(self, text: str, anchor_length: int = ANCHOR_LENGTH, spell: Callable[[str], Unit] = spellings) -> None:
        self._text = text
        self._anchor = _anchor(text, anchor_length, spell)
        self._anchor_length = anchor_length
        self._spell = spell

    @property
    def longest(self) -> int:
        """How many characters the longest spelling has."""
        if is_plain(self._text):
            return len(self._text)
        escaped = {*self._text} - PLAIN
        more = sum(self._text.count(item) * (max(map(len, self._spell(item))) - 1) for item in escaped)
        return len(self._text) + more

    def anchors(self) -> set[str]:
        """The characters of the anchor, in every spelling."""
        return self._beginnings(self._anchor, self._anchor_length)

    def heads(self) -> set[str]:
        """What the text begins with, in every spelling: END_LENGTH characters."""
        return self._beginnings(0, END_LENGTH)

    def tails(self) -> set[str]:
        """What the text ends with, in every spelling: END_LENGTH characters."""
        end = self._text[-END_LENGTH:]
        if is_plain(end):
            return {end}
        backwards = (tuple(spelled[::-1] for spelled in unit) for unit in reversed([*_units(end, self._spell)]))
        return {beginning[::-1] for beginning in _beginnings(backwards, END_LENGTH)}

    def match(self, text: str, at: int) -> Span | None:
        """Where the whole text is, if its anchor begins at `at`: as it is, or the longest of several matches."""
        start = at - self._anchor
        if start >= 0 and text.startswith(self._text, start):
            return start, start + len(self._text)
        ends, starts = {at}, {at}
        for unit in _units(self._text[self._anchor :], self._spell):
            ends = _ends(text, ends, unit)
            if not ends:
                return None
        for unit in reversed([*_units(self._text[: self._anchor], self._spell)]):
            starts = _starts(text, starts, unit)
            if not starts:
                return None
        return min(starts), max(ends)

    def match_head(self, text: str, start: int, stops: Collection[int]) -> Span | None:
        """A beginning of the text, from `start` to a stop, where it was cut; perhaps in the middle of an escape."""
        ends = {start}
        for unit in _units(self._text, self._spell):
            for stop in stops:
                if any(end <= stop and _is_cut(text[end:stop], unit, str.startswith) for end in ends):
                    return start, stop
            ends = _ends(text, ends, unit)
            if not ends:
                return None
        return None

    def match_tail(self, text: str, end: int, stops: Collection[int]) -> Span | None:
        """An end of the text, from a stop, where it was cut, to `end`; perhaps in the middle of an escape."""
        starts = {end}
        for unit in reversed([*_units(self._text, self._spell)]):
            for stop in stops:
                if any(stop <= start and _is_cut(text[stop:start], unit, str.endswith) for start in starts):
                    return stop, end
            starts = _starts(text, starts, unit)
            if not starts:
                return None
        return None

    def _beginnings(self, start: int, length: int) -> set[str]:
        beginning = self._text[start : start + length]
        return {beginning} if is_plain(beginning) else _beginnings(_units(self._text[start:], self._spell), length)


def _units(text: str, spell: Callable[[str], Unit]) -> Iterator[Unit]:
    """A text as stretches that no program escapes, and single characters."""
    at = 0
    for start, end in plain_stretches(text):
        yield from map(spell, text[at:start])
        yield (text[start:end],)
        at = end
    yield from map(spell, text[at:])


def _ends(text: str, starts: set[int], unit: Unit) -> set[int]:
    return {start + len(spelled) for start in starts for spelled in unit if text.startswith(spelled, start)}


def _starts(text: str, ends: set[int], unit: Unit) -> set[int]:
    return {end - len(spelled) for end in ends for spelled in unit if text.endswith(spelled, 0, end)}


def _is_cut(left: str, unit: Unit, holds: Callable[[str, str], bool]) -> bool:
    return any(len(left) < len(spelled) and holds(spelled, left) for spelled in unit)


def _anchor(text: str, length: int, spell: Callable[[str], Unit]) -> int:
    """Where the stretch of this length with the fewest spellings begins; of several, the closest to the middle."""
    last = len(text) - length
    middle = last // 2
    if is_plain(text[middle : middle + length]):
        return middle
    plain = (stretch for stretch in plain_stretches(text) if stretch[1] - stretch[0] >= length)
    candidates = [min(max(middle, start), end - length) for start, end in plain]
    around = range(max(middle - _AROUND_MIDDLE, 0), min(middle + _AROUND_MIDDLE, last) + 1)

    def cost(at: int) -> tuple[int, int]:
        return prod(len(spell(character)) for character in text[at : at + length]), abs(at - middle)

    return min(candidates or around, key=cost)


def _beginnings(units: Iterable[Unit], length: int) -> set[str]:
    whole: set[str] = set()
    begun = {""}
    for unit in units:
        longer = {beginning + spelled for beginning in begun for spelled in unit}
        whole.update(beginning[:length] for beginning in longer if len(beginning) >= length)
        begun = {beginning for beginning in longer if len(beginning) < length}
        if not begun:
            break
    return whole
