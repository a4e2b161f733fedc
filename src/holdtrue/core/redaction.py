"""Redaction by value: the second net under SecretStr, never the first."""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import Final
from urllib.parse import quote, quote_plus

MINIMUM_LENGTH: Final = 8
"""Shorter values also occur by chance; replacing them would garble what the operator has to read."""

REPLACEMENT: Final = "[redacted]"

_URL_SAFE: Final = ("", "/", "!'()*", "$&+=:@", "$&+,;=")
"""What encoders leave alone besides letters, digits and `_.-~`: Python twice, JavaScript, Go for paths and users."""

_NEVER_ESCAPED: Final = re.compile(r"[A-Za-z0-9_.~-]*")
"""Most tokens are of these letters, and their other forms are the token itself."""

_GO_JSON: Final = str.maketrans(
    {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
)
"""Go's encoding/json, the voice of Pulumi and of the Vault API, escapes these as well."""


class Redactor:
    """Replaces every known form of its secrets; made once, it serves many texts. It holds them, so let it go soon."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms = tuple({form for secret in secrets for form in encodings(secret)})

    def redact(self, text: str) -> str:
        """The text with one replacement for each stretch that any form covers, also where forms overlap."""
        if len(text) < MINIMUM_LENGTH:
            return text
        pieces: list[str] = []
        kept_from = 0
        for start, end in _merge(span for form in self._forms for span in _find(text, form)):
            pieces += (text[kept_from:start], REPLACEMENT)
            kept_from = end
        return "".join([*pieces, text[kept_from:]])


def redact(text: str, secrets: Iterable[str]) -> str:
    """Replace every known form of every secret of at least MINIMUM_LENGTH characters."""
    return Redactor(secrets).redact(text)


def encodings(secret: str) -> frozenset[str]:
    """The forms in which a value shows up: as it is, each line alone, and escaped for JSON, Python, URLs, HTML, base64.

    A value and the same without surrounding white space are both meant. Empty for a short secret.
    """
    if len(secret) < MINIMUM_LENGTH:
        return frozenset()
    forms = set(secret.splitlines())
    for value in {secret, secret.strip()}:
        # Lone surrogates stand for bytes that were no UTF-8 when they were read.
        raw = value.encode(errors="surrogatepass")
        forms |= {value, *_base64_groups(raw)}
        if not _NEVER_ESCAPED.fullmatch(value):
            forms |= {escape(value), *_escaped(value), *_quoted(raw)}
    return frozenset(form for form in forms if len(form) >= MINIMUM_LENGTH)


def _escaped(value: str) -> Iterator[str]:
    """As JSON writes it with and without other alphabets, and as Python's repr of text and bytes does."""
    plain = json.dumps(value, ensure_ascii=False)[1:-1]
    yield plain
    yield plain.translate(_GO_JSON)
    yield json.dumps(value)[1:-1]
    raw = value.encode(errors="surrogatepass")
    # A double quote in front makes repr quote with single ones; which of the two is escaped depends on the whole text.
    for form in (repr(f'"{value}')[2:-1], repr(b'"' + raw)[3:-1]):
        yield form.replace(r"\'", "'")
        yield form.replace(r"\'", "'").replace("'", r"\'")


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


def _find(text: str, form: str) -> Iterator[tuple[int, int]]:
    start = text.find(form)
    while start >= 0:
        yield start, start + len(form)
        start = text.find(form, start + 1)


def _merge(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Overlapping spans as one, in order."""
    current: tuple[int, int] | None = None
    for start, end in sorted(spans):
        if current is None or start >= current[1]:
            if current is not None:
                yield current
            current = start, end
        else:
            current = current[0], max(current[1], end)
    if current is not None:
        yield current
