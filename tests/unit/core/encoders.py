"""How the standard library and its like write a text, without any code of redaction itself."""

import base64
import binascii
import json
import shlex
from collections.abc import Callable
from html import escape
from typing import Final
from urllib.parse import quote, quote_plus

Encoder = Callable[[str], str]


def go_json(text: str) -> str:
    plain = json.dumps(text, ensure_ascii=False)[1:-1]
    for character in "<>&\u2028\u2029":
        plain = plain.replace(character, f"\\u{ord(character):04x}")
    return plain


def in_single_quotes(text: str) -> str:
    quoted = shlex.quote(text)
    return quoted[1:-1] if quoted != text else text


def whole_groups(text: str) -> str:
    """Of base64, without the end, which whatever follows would change."""
    raw = text.encode()
    return base64.b64encode(raw[: len(raw) - len(raw) % 3]).decode()


NESTING: Final[dict[str, Encoder]] = {
    "json": lambda text: json.dumps(text)[1:-1],
    "json with other alphabets": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "url": lambda text: quote(text, safe=""),
    "url path": quote,
    "url query": quote_plus,
    "repr in a longer text": lambda text: repr(f"'\"{text}")[4:-1],
    "repr of bytes": lambda text: repr(text.encode())[2:-1],
    "shell": in_single_quotes,
    "shell, in double quotes": lambda text: "".join(f"\\{c}" if c in '"$`\\' else c for c in text),
}
"""These are found within each other."""

ENCODERS: Final[dict[str, Encoder]] = NESTING | {
    "raw": str,
    "json of Go": go_json,
    "url of JavaScript": lambda text: quote(text, safe="!'()*"),
    "html": escape,
    "html of Go": lambda text: escape(text, quote=False).replace('"', "&#34;").replace("'", "&#39;"),
    "repr": lambda text: repr(text)[1:-1],
    "ascii": lambda text: ascii(f"'\"{text}")[4:-1],
    "name of a pytest case": lambda text: text.encode("unicode_escape").decode(),
    "hex": lambda text: binascii.hexlify(text.encode()).decode(),
    "hex in capitals": lambda text: binascii.hexlify(text.encode()).decode().upper(),
    "shell, with backslashes": lambda text: "".join(c if c.isalnum() or c in "_@%+=:,./-" else f"\\{c}" for c in text),
    "base64": whole_groups,
}
