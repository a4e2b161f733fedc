"""The forms in which redaction and `holdtrue leaks` find a secret. How programs escape each is in `core.escapes`."""

import base64
import re
from collections.abc import Iterator
from typing import Final

from holdtrue.core.escapes import escaped

MINIMUM_LENGTH: Final = 8
"""Shorter values also occur by chance; replacing them would garble what the operator has to read."""

REPLACEMENT: Final = "[redacted]"

_MINIMUM_CHARACTERS: Final = 4
"""A value of fewer different characters may as well be a line of dashes or a row of zeros."""

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
"""Regions and zones of AWS, and those of other clouds with similar names."""

_TIME: Final = r"\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?"
_DATE_OR_TIME: Final = re.compile(rf"\d{{4}}-\d{{2}}-\d{{2}}(?:[T ]{_TIME})?|{_TIME}", re.ASCII | re.IGNORECASE)
"""As RFC 3339 writes them. Every log record, state and event has such a text, and Prefect refuses one without."""

_BASE64_LINES: Final = (76, 64)
"""Length of lines from `base64` and MIME, and from PEM and `openssl base64`."""

_ARMOUR: Final = re.compile(r"-----(?:BEGIN|END) [A-Z0-9 ]+-----")
"""The first and last line of a PEM text are the same for everybody."""

_PERCENT: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9_.~-]")


def refusal(value: str) -> str | None:
    """Why this value cannot be redacted: it also occurs in texts without the secret. None if it can be redacted."""
    core = value.strip()
    if len(core) < MINIMUM_LENGTH:
        return f"it has fewer than {MINIMUM_LENGTH} characters"
    if len(set(core)) < _MINIMUM_CHARACTERS:
        return f"it has fewer than {_MINIMUM_CHARACTERS} different characters"
    if core.lower() in _COMMON or _REGION.fullmatch(core):
        return "it is a common word"
    if _DATE_OR_TIME.fullmatch(core):
        return "it is a date or a time"
    return None


def says_nothing(text: str) -> bool:
    """Whether a part of a secret reveals nothing: a line of dashes, or the first or last line of a PEM text."""
    return not any(map(str.isalnum, text)) or _ARMOUR.fullmatch(text.strip()) is not None


def forms(secret: str) -> frozenset[str]:
    """A value as it is, in hex and in base64, also base64 of its escaped forms; empty for a short value."""
    found: set[str] = set()
    for value in readings(secret):
        raw = _bytes(value)
        found |= {value, raw.hex(), raw.hex().upper()}
        for text in {value, *escaped(value)}:
            found.update(_base64_groups(_bytes(text)))
    return _long_enough(found)


def lines(secret: str) -> frozenset[str]:
    """How a value of several lines may show up: each line alone, all lines joined, and the lines of its base64.

    The first and last line of a PEM text are left out, and so is a line that would be refused as a secret.
    """
    found: set[str] = set()
    for value in readings(secret):
        found.update(_lines(value))
        found.update(_base64_lines(_bytes(value)))
    return _long_enough(found)


def base64_forms(raw: bytes) -> frozenset[str]:
    """Base64 of a text that contains these bytes, and the lines of their base64 when they are encoded alone."""
    return _long_enough({*_base64_groups(raw), *_base64_lines(raw)})


def readings(secret: str) -> set[str]:
    """The ways to read a value: as it is, without surrounding white space, and as requests puts it into a URL."""
    return {secret, secret.strip(), _normalised(secret)} if len(secret) >= MINIMUM_LENGTH else set()


def _normalised(value: str) -> str:
    """As requests puts it into a URL: percent-encoded letters and digits are decoded, the rest stays."""
    return _PERCENT.sub(
        lambda found: text if _UNRESERVED.fullmatch(text := chr(int(found[1], 16))) else found[0], value
    )


def _bytes(value: str) -> bytes:
    """Lone surrogates stand for bytes that were not UTF-8 when they were read."""
    return value.encode(errors="surrogatepass")


def _long_enough(found: set[str]) -> frozenset[str]:
    return frozenset(form for form in found if len(form) >= MINIMUM_LENGTH)


def _lines(value: str) -> Iterator[str]:
    """Each line alone, and all lines joined in the ways in which a terminal, a shell or a log joins them."""
    found = value.splitlines()
    if len(found) > 1:
        for line in found:
            if not _ARMOUR.search(line) and refusal(line) is None:
                yield from (line, line.strip())
        for joint in ("", " ", "\n", "\r\n"):
            yield joint.join(found).strip()


def _base64_groups(raw: bytes) -> Iterator[str]:
    """The part of a text's base64 that these bytes alone decide, for each of their three possible alignments.

    Only whole groups of 3 bytes count, because the characters at both ends also depend on neighbouring bytes.
    """
    for offset in range(3):
        groups = raw[(3 - offset) % 3 :]
        groups = groups[: len(groups) - len(groups) % 3]
        yield base64.b64encode(groups).decode()
        yield base64.urlsafe_b64encode(groups).decode()


def _base64_lines(raw: bytes) -> Iterator[str]:
    """The lines of a value that was encoded alone, if there are several."""
    text = base64.b64encode(raw).decode()
    for width in _BASE64_LINES:
        if len(text) > width:
            yield from (text[at : at + width] for at in range(0, len(text), width))
