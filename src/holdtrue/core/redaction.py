"""Redaction by value: the second net under SecretStr, never the first."""

import base64
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from holdtrue.core.escapes import escaped, escaped_within
from holdtrue.core.folding import LINE_LENGTH, Span, find_across_folds, longest_folded

MINIMUM_LENGTH: Final = 8
"""Shorter values also occur by chance; replacing them would garble what the operator has to read."""

REPLACEMENT: Final = "[redacted]"

_MINIMUM_CHARACTERS: Final = 4
"""With fewer different characters a value is a ruler or a row of zeros as easily as a secret."""

_COMMON: Final = frozenset(
    {
        *("12345678", "123456789", "1234567890", "127.0.0.1", "127.0.0.1:8200", "127.0.0.1:5432", "localdomain"),
        *("localhost", "localhost.localdomain", "administrator", "anonymous", "superuser", "username", "password"),
        *("password1", "password123", "passw0rd", "changeme", "changeit", "database", "postgres", "postgresql"),
        *("default-region", "development", "production", "disabled", "required", "template", "undefined"),
        *("redacted", REPLACEMENT),
    }
)
_REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d[a-z]?")
"""Regions and zones of AWS, and what other clouds name like them."""

_WINDOW: Final = 5
_STRIDE: Final = 4
"""Every fourth position of a text is looked up, by the five characters there.

Any eight characters in a row hold such a window, wherever they begin: _WINDOW + _STRIDE - 1 is MINIMUM_LENGTH.
"""

_BASE64_LINES: Final = (76, 64)
"""Where `base64` and MIME, and where PEM and `openssl base64`, break their lines."""

_ARMOUR: Final = re.compile(r"-----(?:BEGIN|END) [A-Z0-9 ]+-----")
"""The first and last line of a PEM text are the same for everybody."""


def refusal(value: str) -> str | None:
    """Why this value cannot be redacted wherever it occurs: it would be found in texts that do not hold the secret."""
    core = value.strip()
    if len(core) < MINIMUM_LENGTH:
        return f"it has fewer than {MINIMUM_LENGTH} characters"
    if len(set(core)) < _MINIMUM_CHARACTERS:
        return f"it has fewer than {_MINIMUM_CHARACTERS} different characters"
    if core.lower() in _COMMON or _REGION.fullmatch(core):
        return "it is a common word"
    return None


class Redactor:
    """Replaces every known form of its secrets. It holds them, so let it go soon.

    One thread may add and discard while others redact: these then see the secret or do not.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: Counter[str] = Counter()
        self._windows: dict[str, tuple[tuple[str, int], ...]] = {}
        self._longest = 0
        self.add(secrets)

    def __bool__(self) -> bool:
        return self._longest > 0

    @property
    def longest(self) -> int:
        """Characters of the longest stretch that is replaced at once: a form, and the line breaks that fold it."""
        return longest_folded(self._longest)

    def add(self, secrets: Iterable[str]) -> None:
        """Know these too, each as often as it was added."""
        for form in chain.from_iterable(map(_all_forms, secrets)):
            self._forms[form] += 1
            if self._forms[form] == 1:
                for window, offset in _windows(form):
                    self._windows[window] = (*self._windows.get(window, ()), (form, offset))
                self._longest = max(self._longest, len(form))

    def discard(self, secrets: Iterable[str]) -> None:
        """Undo one `add` of each."""
        gone: set[str] = set()
        for form in chain.from_iterable(map(_all_forms, secrets)):
            self._forms[form] -= 1
            if not self._forms[form]:
                del self._forms[form]
                gone.add(form)
        # Each window once: a thousand secrets that begin alike share theirs.
        for window in {window for form in gone for window, _ in _windows(form)}:
            rest = tuple(entry for entry in self._windows[window] if entry[0] not in gone)
            if rest:
                self._windows[window] = rest
            else:
                del self._windows[window]
        self._longest = max(map(len, self._forms), default=0)

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
        """Start and end of every occurrence of every form, also of one that is folded, in no order."""
        return [*self._find_whole(text), *find_across_folds(text, self._find_whole, self._longest)]

    def _find_whole(self, text: str) -> list[Span]:
        windows = self._windows
        seen = [
            (at, entries)
            for at in range(0, len(text) - _WINDOW + 1, _STRIDE)
            if (entries := windows.get(text[at : at + _WINDOW]))
        ]
        return [
            (at - offset, at - offset + len(form))
            for at, entries in seen
            for form, offset in entries
            if at >= offset and text.startswith(form, at - offset)
        ]


class StreamRedactor:
    """Redacts a text that comes in chunks as if it were whole: no form passes, however it is cut.

    Less than twice the longest stretch that could be replaced is held back.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._text = ""
        self._given = 0
        """So many characters at the begin of the text were given out; a line that they are part of may be a fold."""
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
        self._given = min(decided, LINE_LENGTH)
        self._text, self._covered = text[decided - self._given :], max(at - decided, 0)
        return "".join(pieces)


def redact(text: str, secrets: Iterable[str]) -> str:
    """Replace every known form of every secret of at least MINIMUM_LENGTH characters."""
    return Redactor(secrets).redact(text)


def encodings(secret: str) -> frozenset[str]:
    """The forms in which a value shows up: as it is, each line alone, all lines as one, and in other alphabets.

    Those are the escapes of JSON, Python, URLs, HTML, XML and shells, base64 in every alignment, and hex. A value and
    the same without surrounding white space are both meant. Empty for a short secret; PEM's first and last line alone
    are no form, nor is a line that would be refused as a secret.
    """
    forms = set(_lines(secret))
    for value in _meant(secret):
        # Lone surrogates stand for bytes that were no UTF-8 when they were read.
        raw = value.encode(errors="surrogatepass")
        forms |= {value, raw.hex(), raw.hex().upper(), *base64_forms(raw), *escaped(value)}
    return _long_enough(forms) if len(secret) >= MINIMUM_LENGTH else frozenset()


def nested_encodings(secret: str) -> frozenset[str]:
    """The forms within forms: escapes within each other, base64 of each escaped form, and escapes of base64."""
    forms: set[str] = set()
    for value in _meant(secret):
        forms |= escaped_within(value)
        for form in escaped(value):
            forms |= {*_base64_groups(form.encode(errors="surrogatepass"))}
        for form in _base64_groups(value.encode(errors="surrogatepass")):
            forms |= escaped(form)
    return _long_enough(forms) if len(secret) >= MINIMUM_LENGTH else frozenset()


def base64_forms(raw: bytes) -> frozenset[str]:
    """What base64 writes for a text that holds these bytes, and the lines it breaks into when they stand alone."""
    return _long_enough({*_base64_groups(raw), *_base64_lines(raw)})


def merge(spans: Iterable[Span]) -> Iterator[Span]:
    """Overlapping spans as one, in order."""
    current: Span | None = None
    for start, end in sorted(spans):
        if current is None or start >= current[1]:
            if current is not None:
                yield current
            current = start, end
        else:
            current = current[0], max(current[1], end)
    if current is not None:
        yield current


def _all_forms(secret: str) -> frozenset[str]:
    return encodings(secret) | nested_encodings(secret)


def _meant(secret: str) -> set[str]:
    return {secret, secret.strip()}


def _long_enough(forms: set[str]) -> frozenset[str]:
    return frozenset(form for form in forms if len(form) >= MINIMUM_LENGTH)


def _windows(form: str) -> Iterator[tuple[str, int]]:
    """The windows of a form's middle, one of which is looked up wherever the form stands.

    The middle, because secrets of one kind begin alike (`hvs.`, `eyJhbGciOi`), and would all have to be compared.
    """
    middle = (len(form) - MINIMUM_LENGTH) // 2
    return ((form[offset : offset + _WINDOW], offset) for offset in range(middle, middle + _STRIDE))


def _lines(value: str) -> Iterator[str]:
    """Each line alone, and all of them with the line breaks that a terminal, a shell or a log leaves of them."""
    lines = value.splitlines()
    if len(lines) > 1:
        for line in lines:
            if not _ARMOUR.search(line) and refusal(line) is None:
                yield from (line, line.strip())
        for joint in ("", " ", "\n", "\r\n"):
            yield joint.join(lines).strip()


def _base64_groups(raw: bytes) -> Iterator[str]:
    """What is certain of base64 of a text that holds these bytes, for the three ways in which they can be aligned.

    Whole 3-byte groups only: the characters at the seams depend on neighbours that are not the secret's.
    """
    for offset in range(3):
        groups = raw[(3 - offset) % 3 :]
        groups = groups[: len(groups) - len(groups) % 3]
        yield base64.b64encode(groups).decode()
        yield base64.urlsafe_b64encode(groups).decode()


def _base64_lines(raw: bytes) -> Iterator[str]:
    """The lines of a value that was encoded by itself and is longer than one."""
    text = base64.b64encode(raw).decode()
    for width in _BASE64_LINES:
        if len(text) > width:
            yield from (text[at : at + width] for at in range(0, len(text), width))
