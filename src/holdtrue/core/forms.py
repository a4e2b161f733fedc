"""The forms by which redaction and `holdtrue leaks` know a secret. How programs escape each is in `core.escapes`."""

import base64
import re
from collections.abc import Iterator
from typing import Final

from holdtrue.core.escapes import escaped

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

_BASE64_LINES: Final = (76, 64)
"""Where `base64` and MIME, and where PEM and `openssl base64`, break their lines."""

_ARMOUR: Final = re.compile(r"-----(?:BEGIN|END) [A-Z0-9 ]+-----")
"""The first and last line of a PEM text are the same for everybody."""

_PERCENT: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9_.~-]")


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


def says_nothing(text: str) -> bool:
    """Whether a part of a secret gives nothing away: a ruler, or the first or last line of a PEM text."""
    return not any(map(str.isalnum, text)) or _ARMOUR.fullmatch(text.strip()) is not None


def forms(secret: str) -> frozenset[str]:
    """A value as it is, in hex, and in base64, also base64 of what programs escaped; empty for a short one."""
    found: set[str] = set()
    for value in readings(secret):
        raw = _bytes(value)
        found |= {value, raw.hex(), raw.hex().upper()}
        for text in {value, *escaped(value)}:
            found.update(_base64_groups(_bytes(text)))
    return _long_enough(found)


def lines(secret: str) -> frozenset[str]:
    """What a value of several lines shows up as: each line alone, all lines as one, and the lines of its base64.

    PEM's first and last line alone are left out, and so is a line that would be refused as a secret.
    """
    found: set[str] = set()
    for value in readings(secret):
        found.update(_lines(value))
        found.update(_base64_lines(_bytes(value)))
    return _long_enough(found)


def base64_forms(raw: bytes) -> frozenset[str]:
    """What base64 writes for a text that holds these bytes, and the lines it breaks into when they stand alone."""
    return _long_enough({*_base64_groups(raw), *_base64_lines(raw)})


def readings(secret: str) -> set[str]:
    """What may be meant by a value: itself, without surrounding white space, and as requests puts it into a URL."""
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
    """Each line alone, and all of them with the line breaks that a terminal, a shell or a log leaves of them."""
    found = value.splitlines()
    if len(found) > 1:
        for line in found:
            if not _ARMOUR.search(line) and refusal(line) is None:
                yield from (line, line.strip())
        for joint in ("", " ", "\n", "\r\n"):
            yield joint.join(found).strip()


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
