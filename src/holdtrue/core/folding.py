"""Text that was cut into lines at a column, as base64, MIME and PEM are, searched as if it had not been."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from typing import Final

from holdtrue.core.spans import Span

LINE_LENGTH: Final = 32
"""So many characters of base64's alphabets stand before a break: shorter lines are no wrapped text, but words.

Columns in use: 76 (`base64`, MIME), 72, 64 (PEM, `openssl base64`), 60 (Ruby).
"""

_INDENT: Final = 20
_FOLD: Final = re.compile(
    # The first character of the break, and only then a look at what stands before it: this way the search is quick.
    rf"[\r\n\\](?<=[A-Za-z0-9+/_-]{{{LINE_LENGTH}}}[\r\n\\])"
    r"(?:(?<=\n)|(?<=\r)\n|(?<=\\)\\{0,3}(?:r\\{1,4})?n)"
    rf"[ \t]{{0,{_INDENT}}}(?=[A-Za-z0-9+/_-])"
)
r"""A line break, also as JSON writes it (`\n`), up to twice within JSON, with the next line's indent."""

_LONGEST_FOLD: Final = len(r"\\\\r\\\\n") + _INDENT


def longest_folded(length: int) -> int:
    """Characters that a stretch of so many may take once it is folded."""
    return length + (length // LINE_LENGTH + 1) * _LONGEST_FOLD if length else 0


def find_across_folds(text: str, find: Callable[[str], list[Span]], longest: int) -> Iterator[Span]:
    """Where `find` sees something that a fold divides; nothing it finds may be longer than `longest` characters.

    The time is that of one search of the text, however many folds there are.
    """
    pieces: list[str] = []
    cuts: list[int] = []
    removed = [0]
    kept_from = at = 0
    for fold in _FOLD.finditer(text):
        pieces.append(text[kept_from : fold.start()])
        at += fold.start() - kept_from
        kept_from = fold.end()
        cuts.append(at)
        removed.append(kept_from - at)
    if not cuts:
        return
    joined = "".join([*pieces, text[kept_from:]])
    for first, last in _around(cuts, longest):
        for start, end in find(joined[first:last]):
            before, within = bisect_right(cuts, first + start), bisect_left(cuts, first + end)
            if within > before:
                yield first + start + removed[before], first + end + removed[within]


def _around(cuts: list[int], reach: int) -> Iterator[Span]:
    """The parts of the joined text that can hold something across a cut."""
    first, last = max(cuts[0] - reach, 0), cuts[0] + reach
    for cut in cuts[1:]:
        if cut - reach > last:
            yield first, last
            first = cut - reach
        last = cut + reach
    yield first, last
