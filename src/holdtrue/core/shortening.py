"""Where a program shortened a text: `...`, `…`, `[15 chars]`, `'abc'+20`, `(99 characters truncated)` and the like."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_HINTS: Final = ("...", "…", "⋯", "'+", '"+', " chars]", "truncated", "omitted", "snip", "shortened", "elided", " more")
"""Every mark contains one of these, and most texts contain none."""

_AROUND: Final = r"[^\[\](){}<>\n]{0,30}"
_MARK: Final = (
    r"\.{3,}|[…⋯]|(?<=['\"])\+\d+|\[\d+ chars\]|"
    rf"[\[(<]{_AROUND}(?:truncated|omitted|snip|shortened|elided|more){_AROUND}[\])>]"
)
"""As reprlib, pydantic, pytest and textwrap write it, as rich does, as unittest does, and in words."""

_MARKS: Final = re.compile(rf"(?:{_MARK})(?:[ \n]?(?:{_MARK}))*")

_LOOSE: Final = "\"'`\\ \t[](){}<>"
_LOOSE_LENGTH: Final = 8
"""How many quotes, brackets and spaces may stand between a mark and what was left."""

REACH: Final = 96
"""How many characters a mark and what stands around it may have."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A place where something was left out."""

    text_before: int
    """Where the text before the mark begins: at the end of the mark before it."""
    ends: range
    """Where what was left before the mark may end."""
    starts: range
    """Where what was left after the mark may begin."""
    text_after: int
    """Where the text after the mark ends: at the beginning of the next mark."""


def cuts(text: str) -> Iterator[Cut]:
    """Every place where the text was cut, in order."""
    if not any(hint in text for hint in _HINTS):
        return
    marks = [(0, 0), *(mark.span() for mark in _MARKS.finditer(text)), (len(text), len(text))]
    for (_, text_before), (before, after), (text_after, _) in zip(marks, marks[1:], marks[2:], strict=False):
        first, last = before, after
        while first > max(before - _LOOSE_LENGTH, text_before) and text[first - 1] in _LOOSE:
            first -= 1
        while last < min(after + _LOOSE_LENGTH, text_after) and text[last] in _LOOSE:
            last += 1
        yield Cut(text_before, range(first, before + 1), range(after, last + 1), text_after)
