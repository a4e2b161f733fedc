"""Redaction by value: the second net under SecretStr, never the first."""

import base64
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from html import escape
from itertools import chain
from typing import Final
from urllib.parse import quote, quote_plus

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

_URL_SAFE: Final = ("", "/", "!'()*", "$&+=:@", "$&+,;=")
"""What encoders leave alone besides letters, digits and `_.-~`: Python twice, JavaScript, Go for paths and users."""

_SHELL_SAFE: Final = (r"\w@%+=:./#~\u0080-\U0010ffff-", r"\w@%+=:,./-", r"A-Za-z0-9_.,:+/@-")
"""What gets no backslash: from bash's `printf %q`, in the manner of Python's shlex, and from Ruby's Shellwords."""

_NEVER_ESCAPED: Final = re.compile(r"[A-Za-z0-9_.~-]*")
"""Most tokens are of these letters, and their other forms are the token itself."""

_ARMOUR: Final = re.compile(r"-----(?:BEGIN|END) [A-Z0-9 ]+-----")
"""The first and last line of a PEM text are the same for everybody."""

_GO_JSON: Final = str.maketrans(
    {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
)
"""Go's encoding/json, the voice of Pulumi and of the Vault API, escapes these as well."""

_XML_ATTRIBUTE: Final = str.maketrans({'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#09;"})
"""On top of `&`, `<` and `>`, as xml.etree writes attributes."""

_GO_HTML: Final = str.maketrans({'"': "&#34;", "'": "&#39;"})

Span = tuple[int, int]


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
        self.longest = 0
        """Characters of the longest form."""
        self.add(secrets)

    def __bool__(self) -> bool:
        return self.longest > 0

    def add(self, secrets: Iterable[str]) -> None:
        """Know these too, each as often as it was added."""
        for form in chain.from_iterable(encodings(secret) for secret in secrets):
            self._forms[form] += 1
            if self._forms[form] == 1:
                for window, offset in _windows(form):
                    self._windows[window] = (*self._windows.get(window, ()), (form, offset))
                self.longest = max(self.longest, len(form))

    def discard(self, secrets: Iterable[str]) -> None:
        """Undo one `add` of each."""
        for form in chain.from_iterable(encodings(secret) for secret in secrets):
            self._forms[form] -= 1
            if not self._forms[form]:
                del self._forms[form]
                for window, offset in _windows(form):
                    rest = tuple(entry for entry in self._windows[window] if entry != (form, offset))
                    if rest:
                        self._windows[window] = rest
                    else:
                        del self._windows[window]
        self.longest = max(map(len, self._forms), default=0)

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
        """Start and end of every occurrence of every form, in no order."""
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

    At most one character less than the longest form is held back.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""
        self._covered = 0
        """So many characters of what is held are part of a stretch whose replacement has been given out."""

    def feed(self, chunk: str) -> str:
        """What can be shown now."""
        return self._advance(self._held + chunk, max(self._redactor.longest - 1, 0))

    def flush(self) -> str:
        """The rest, at the end of the stream."""
        return self._advance(self._held, 0)

    def _advance(self, text: str, keep: int) -> str:
        """Give out all that lies before `keep` characters from the end: a form that begins there is known whole."""
        decided = max(len(text) - keep, 0)
        pieces: list[str] = []
        at = 0
        continued = [(0, self._covered)] if self._covered else []
        for start, end in merge([*continued, *self._redactor.find(text)]):
            if start or not self._covered:
                if start >= decided:
                    break
                pieces += (text[at:start], REPLACEMENT)
            at = end
        pieces.append(text[at:decided])
        self._held, self._covered = text[decided:], max(at - decided, 0)
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
    if len(secret) < MINIMUM_LENGTH:
        return frozenset()
    forms = set(_lines(secret))
    for value in {secret, secret.strip()}:
        # Lone surrogates stand for bytes that were no UTF-8 when they were read.
        raw = value.encode(errors="surrogatepass")
        forms |= {value, raw.hex(), raw.hex().upper(), *base64_forms(raw)}
        if not _NEVER_ESCAPED.fullmatch(value):
            forms |= {*_escaped(value), *_marked_up(value), *_quoted(raw), *_for_shells(value)}
    return frozenset(form for form in forms if len(form) >= MINIMUM_LENGTH)


def base64_forms(raw: bytes) -> frozenset[str]:
    """What base64 writes for a text that holds these bytes, and the lines it breaks into when they stand alone."""
    forms = {*_base64_groups(raw), *_base64_lines(raw)}
    return frozenset(form for form in forms if len(form) >= MINIMUM_LENGTH)


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


def _escaped(value: str) -> Iterator[str]:
    """As JSON writes it with and without other alphabets, also inside JSON, and as Python's repr of text and bytes."""
    plain = json.dumps(value, ensure_ascii=False)[1:-1]
    ascii_only = json.dumps(value)[1:-1]
    yield from (plain, ascii_only, plain.translate(_GO_JSON), plain.replace("/", r"\/"))
    yield from (json.dumps(form, ensure_ascii=False)[1:-1] for form in (plain, ascii_only))
    raw = value.encode(errors="surrogatepass")
    # A double quote in front makes repr quote with single ones; which of the two is escaped depends on the whole text.
    for form in (repr(f'"{value}')[2:-1], ascii(f'"{value}')[2:-1], repr(b'"' + raw)[3:-1]):
        yield form.replace(r"\'", "'")
        yield form.replace(r"\'", "'").replace("'", r"\'")


def _marked_up(value: str) -> Iterator[str]:
    """For HTML as Python and Go write it, and for XML's texts and attributes."""
    text = escape(value, quote=False)
    yield from (escape(value), text, text.translate(_GO_HTML), text.translate(_XML_ATTRIBUTE))


def _for_shells(value: str) -> Iterator[str]:
    """Within quotes of either kind, and with a backslash before what means something to a shell."""
    yield value.replace("'", "'\"'\"'")
    yield value.replace("'", r"'\''")
    yield re.sub(r'(["$`\\])', r"\\\1", value)
    for safe in _SHELL_SAFE:
        yield re.sub(f"([^{safe}])", r"\\\1", value)


def _quoted(raw: bytes) -> Iterator[str]:
    for form in (*(quote(raw, safe=safe) for safe in _URL_SAFE), quote_plus(raw)):
        yield form
        head, *rest = form.split("%")
        yield "%".join([head, *(part[:2].lower() + part[2:] for part in rest)])


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
