"""Redaction by value: the second net under SecretStr, never the first."""

import base64
import json
from collections.abc import Iterable
from urllib.parse import quote

MINIMUM_LENGTH = 8
"""Shorter values also occur by chance; replacing them would garble what the operator has to read."""

REPLACEMENT = "[redacted]"


def encodings(secret: str) -> frozenset[str]:
    """The forms in which a value shows up: raw, base64 at three offsets, URL-quoted, JSON-escaped, each line alone."""
    raw = secret.encode()
    forms = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
    forms.update(line for line in secret.splitlines() if len(line) >= MINIMUM_LENGTH)
    for offset in range(3):
        # Whole 3-byte groups only: the characters at the seams depend on neighbours that are not the secret's.
        groups = raw[(3 - offset) % 3 :]
        groups = groups[: len(groups) - len(groups) % 3]
        forms.add(base64.b64encode(groups).decode())
    return frozenset(form for form in forms if len(form) >= MINIMUM_LENGTH)


def redact(text: str, secrets: Iterable[str]) -> str:
    """Replace every known form of every secret; the longest forms first, so that no remainder stays."""
    forms = {form for secret in secrets if len(secret) >= MINIMUM_LENGTH for form in encodings(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, REPLACEMENT)
    return text
