"""Looks up many texts at once: each whole text anywhere, and what is left of it where a program cut it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from holdtrue.core.shortening import cuts
from holdtrue.core.spans import Span
from holdtrue.core.spelling import ANCHOR_LENGTH, END_LENGTH, Spelling

_WINDOW: Final = 5
_STRIDE: Final = ANCHOR_LENGTH - _WINDOW + 1
"""Five characters at every fourth position are looked up: each anchor contains such a window."""

_Key = tuple[str, int]
"""Characters to look up, and how many characters of the anchor are before them."""


class SpellingIndex:
    """One thread may add and discard while others search; they may or may not see that change."""

    def __init__(self) -> None:
        self._windows = _Lookup(_windows)
        self._heads = _Lookup(lambda spelling: {(head, 0) for head in spelling.heads()})
        self._tails = _Lookup(lambda spelling: {(tail, 0) for tail in spelling.tails()})

    def add(self, spelling: Spelling, *, may_be_cut: bool) -> None:
        """Find this text from now on, and if it may be cut also what is left of it."""
        self._windows.add(spelling)
        if may_be_cut:
            self._heads.add(spelling)
            self._tails.add(spelling)

    def discard(self, spellings: set[Spelling]) -> None:
        """Do not find these any more."""
        for lookup in (self._windows, self._heads, self._tails):
            lookup.discard(spellings)

    def find(self, text: str) -> list[Span]:
        """Every place of a whole text, in no order."""
        windows = self._windows.entries
        seen = [
            (at, entries)
            for at in range(0, len(text) - _WINDOW + 1, _STRIDE)
            if (entries := windows.get(text[at : at + _WINDOW]))
        ]
        return [
            span
            for at, entries in seen
            for spelling, offset in entries
            if at >= offset and (span := spelling.match(text, at - offset))
        ]

    def find_cut(self, text: str, longest: int) -> Iterator[Span]:
        """Every place where a text's beginning stands before a mark of shortening, or its end after one."""
        heads, tails = self._heads.entries, self._tails.entries
        for cut in cuts(text):
            first = max(cut.ends[0] - longest, cut.text_before)
            for start in range(first, cut.ends[-1] - END_LENGTH + 1):
                for spelling, _ in heads.get(text[start : start + END_LENGTH], ()):
                    if span := spelling.match_head(text, start, cut.ends):
                        yield span
            last = min(cut.starts[-1] + longest, cut.text_after)
            for end in range(cut.starts[0] + END_LENGTH, last + 1):
                for spelling, _ in tails.get(text[end - END_LENGTH : end], ()):
                    if span := spelling.match_tail(text, end, cut.starts):
                        yield span


class _Lookup:
    """Spellings by the characters that are looked up. Lists grow or are replaced, so that readers need no lock."""

    def __init__(self, keys: Callable[[Spelling], Iterable[_Key]]) -> None:
        self._keys = keys
        self.entries: dict[str, list[tuple[Spelling, int]]] = {}

    def add(self, spelling: Spelling) -> None:
        for key, offset in self._keys(spelling):
            self.entries.setdefault(key, []).append((spelling, offset))

    def discard(self, spellings: set[Spelling]) -> None:
        # Each key once: a thousand secrets that begin alike share theirs.
        for key in {key for spelling in spellings for key, _ in self._keys(spelling)}:
            rest = [entry for entry in self.entries.get(key, ()) if entry[0] not in spellings]
            if rest:
                self.entries[key] = rest
            else:
                self.entries.pop(key, None)


def _windows(spelling: Spelling) -> set[_Key]:
    return {(anchor[offset : offset + _WINDOW], offset) for anchor in spelling.anchors() for offset in range(_STRIDE)}
