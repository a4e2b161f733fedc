"""Redaction by value: the second net under SecretStr, never the first."""

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import Final

from holdtrue.core.folding import LINE_LENGTH, find_across_folds, longest_folded
from holdtrue.core.forms import REPLACEMENT, forms, lines, says_nothing
from holdtrue.core.shortening import REACH
from holdtrue.core.spans import Span, merge
from holdtrue.core.spelling import Spelling
from holdtrue.core.spelling_index import SpellingIndex

_CONTEXT: Final = max(LINE_LENGTH, REACH)
"""This many characters before a text may decide whether it is a secret."""


class Redactor:
    """Replaces every known form of its secrets. It holds them, so let it go soon.

    One thread may add and discard while others redact: these then see the secret or do not.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._times_known: Counter[str] = Counter()
        self._spellings: dict[str, Spelling] = {}
        self._index = SpellingIndex()
        self._longest = 0
        self.add(secrets)

    def __bool__(self) -> bool:
        return self._longest > 0

    @property
    def longest(self) -> int:
        """How many characters have to be seen together: the longest form, its line breaks, and the mark of a cut."""
        return longest_folded(self._longest) + REACH if self._longest else 0

    def add(self, secrets: Iterable[str]) -> None:
        """Know these too, each as often as it was added."""
        for secret in secrets:
            self._add(forms(secret), may_be_cut=True)
            self._add(lines(secret), may_be_cut=False)

    def _add(self, texts: Iterable[str], *, may_be_cut: bool) -> None:
        for text in texts:
            self._times_known[text] += 1
            if self._times_known[text] == 1:
                spelling = self._spellings[text] = Spelling(text)
                self._index.add(spelling, may_be_cut=may_be_cut)
                self._longest = max(self._longest, spelling.longest)

    def discard(self, secrets: Iterable[str]) -> None:
        """Undo one `add` of each."""
        gone: set[Spelling] = set()
        for text in chain.from_iterable((*forms(secret), *lines(secret)) for secret in secrets):
            self._times_known[text] -= 1
            if not self._times_known[text]:
                del self._times_known[text]
                gone.add(self._spellings.pop(text))
        self._index.discard(gone)
        self._longest = max((spelling.longest for spelling in self._spellings.values()), default=0)

    def redact(self, text: str) -> str:
        """The text with one replacement for each stretch that any form covers, also where forms overlap."""
        spans = self.find(text)
        if not spans:
            return text
        pieces: list[str] = []
        kept_from = 0
        for start, end in merge(spans):
            pieces += (text[kept_from:start], REPLACEMENT)
            kept_from = end
        return "".join([*pieces, text[kept_from:]])

    def find(self, text: str) -> list[Span]:
        """Start and end of every occurrence of every form, also of one that is folded or was cut, in no order."""
        return [
            *self._index.find(text),
            *find_across_folds(text, self._index.find, self._longest),
            *(span for span in self._index.find_cut(text, self._longest) if not says_nothing(text[slice(*span)])),
        ]


class StreamRedactor:
    """Redacts a text that comes in chunks as if it were whole: no form passes, however it is cut.

    Less than twice the longest stretch that could be replaced is held back.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._text = ""
        self._given = 0
        """How many characters at the beginning were given out; a fold or the mark of a cut may be among them."""
        self._covered = 0
        """So many characters after them are part of a stretch whose replacement has been given out."""

    @property
    def held_back(self) -> int:
        """Characters that came and were not given out."""
        return len(self._text) - self._given

    def feed(self, chunk: str) -> str:
        """What can be shown now."""
        self._text += chunk
        keep = max(self._redactor.longest - 1, 0)
        # Each look is at all that is held back, so that small chunks wait until looking is worth it.
        return self._advance(keep) if self.held_back >= 2 * keep else ""

    def flush(self) -> str:
        """The rest, at the end of the stream."""
        return self._advance(0)

    def _advance(self, keep: int) -> str:
        """Give out all that lies before `keep` characters from the end: a form that begins there is known whole."""
        text, at = self._text, self._given
        decided = max(len(text) - keep, at)
        pieces: list[str] = []
        continued = [(at, at + self._covered)] if self._covered else []
        found = (span for span in self._redactor.find(text) if span[0] >= self._given)
        for start, end in merge([*continued, *found]):
            if start > self._given or not self._covered:
                if start >= decided:
                    break
                pieces += (text[at:start], REPLACEMENT)
            at = end
        pieces.append(text[at:decided])
        self._given = min(decided, _CONTEXT)
        self._text, self._covered = text[decided - self._given :], max(at - decided, 0)
        return "".join(pieces)


def redact(text: str, secrets: Iterable[str]) -> str:
    """Replace every known form of every secret of at least MINIMUM_LENGTH characters."""
    return Redactor(secrets).redact(text)
