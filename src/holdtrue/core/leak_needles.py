"""What is searched for when a value is known: each of its forms, in every spelling, as bytes."""

import json
import re
import shlex
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import unquote, unquote_plus

from holdtrue.core.escapes import plain_stretches, spellings
from holdtrue.core.forms import base64_forms, forms, lines, readings, refusal
from holdtrue.core.spelling import Spelling, Unit
from holdtrue.models.leak import Form, KnownValue

PARTIAL_LENGTH: Final = 12
"""This many characters at either end of a long value are searched for too: people and tools cut texts short."""

_LONG: Final = 2 * PARTIAL_LENGTH

_COMMON: Final = re.compile(
    r"-----(?:BEGIN|END) [A-Z0-9 ]+-----|eyJ[\w-]*\.(?:eyJ[\w-]*\.)?"
    r"|github_pat_|pypi-AgEI\w{14}|AGE-SECRET-KEY-1|sk-[a-z]+-|b3BlbnNzaC1rZXktdjEA[\w+/]*"
)
"""What all secrets of a kind have in common, so that finding it says nothing: of a JWT all but the signature, of an
OpenSSH key the first line."""

_LINE: Final = 76
"""Characters of the longest line of PEM and its like."""

_ARMOUR: Final = "-----BEGIN "
"""All PEM texts of a kind have the same beginning and end, so their lines are searched for one by one."""


@dataclass(frozen=True, slots=True)
class Needle:
    """One form of one value."""

    name: str
    form: Form
    content: str | bytes = field(repr=False)
    """A text, which programs may escape, or bytes, which they do not."""

    def has_plain(self, length: int) -> bool:
        """Whether it has a stretch of this many bytes that is the same in every spelling."""
        if isinstance(self.content, bytes):
            return len(self.content) >= length
        return any(end - start >= length for start, end in plain_stretches(self.content))

    def spelling(self, anchor_length: int) -> Spelling:
        """As bytes that are read as Latin-1, so that places in that text are places in the bytes."""
        if isinstance(self.content, bytes):
            return Spelling(_as_text(self.content), anchor_length, lambda character: (character,))
        return Spelling(self.content, anchor_length, _spellings_in_bytes)

    def form_of(self, found: str) -> Form:
        """Which form of the value was found; decoding it tells."""
        if self.form is not Form.PLAIN or not isinstance(self.content, str):
            return self.form
        return _form_of(found.encode("latin-1").decode(errors="replace"), self.content)


def needles_of(value: KnownValue) -> Iterator[Needle]:
    """Every form of a value that is more than what all secrets of its kind have in common; the plainest first."""
    text = value.value.get_secret_value()
    found: list[tuple[Form, str | bytes]] = [*_whole(text), *_wide(text), *_partial(text)]
    seen: set[str | bytes] = set()
    for form, content in sorted(found, key=lambda item: list(Form).index(item[0])):
        if content not in seen:
            seen.add(content)
            yield Needle(value.name, form, content)


def _whole(text: str) -> Iterator[tuple[Form, str]]:
    variants = {text, text.strip()}
    kinds = {
        **{_bytes(reading).hex(): Form.HEX for reading in readings(text)},
        **{_bytes(reading).hex().upper(): Form.HEX for reading in readings(text)},
        **dict.fromkeys(readings(text), Form.URL),
        **dict.fromkeys(variants, Form.PLAIN),
    }
    for form in forms(text):
        if len(form) > _LINE or _COMMON.sub("", form):
            yield kinds.get(form, Form.BASE64), form
    for line in lines(text):
        if len(line) > _LINE or _COMMON.sub("", line):
            yield Form.LINE if line in text else Form.BASE64 if _is_base64_of(line, text) else Form.ESCAPED, line


def _is_base64_of(line: str, text: str) -> bool:
    with suppress(ValueError):
        return b64decode(line, validate=True) in _bytes(text)
    return False


def _partial(text: str) -> Iterator[tuple[Form, str]]:
    own = _COMMON.sub("", text).strip()
    if len(own) >= _LONG and _ARMOUR not in text:
        for form, part in ((Form.HEAD, own[:PARTIAL_LENGTH]), (Form.TAIL, own[-PARTIAL_LENGTH:])):
            if refusal(part) is None:
                yield form, part


def _wide(text: str) -> Iterator[tuple[Form, bytes]]:
    """UTF-16, as Windows and its tools write it, and base64 of that (`powershell -EncodedCommand`)."""
    for variant in {text, text.strip()}:
        for codec in ("utf-16-le", "utf-16-be"):
            raw = variant.encode(codec, errors="surrogatepass")
            yield Form.UTF16, raw
            yield from ((Form.UTF16, form.encode()) for form in base64_forms(raw))
        with suppress(UnicodeEncodeError):
            if not variant.isascii():
                yield Form.ESCAPED, variant.encode("latin-1")


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _as_text(raw: bytes) -> str:
    return raw.decode("latin-1")


@lru_cache(maxsize=1024)
def _spellings_in_bytes(character: str) -> Unit:
    return tuple(_as_text(_bytes(spelled)) for spelled in spellings(character))


def _form_of(found: str, text: str) -> Form:
    variants = {text, text.strip()}
    if found in variants:
        return Form.PLAIN
    with suppress(ValueError):
        if json.loads(f'"{found}"', strict=False) in variants:
            return Form.JSON
    if unquote(found) in variants or unquote_plus(found) in variants:
        return Form.URL
    for quoted in (found, f"'{found}'", f'"{found}"'):
        with suppress(ValueError):
            if shlex.split(quoted) in [[variant] for variant in variants]:
                return Form.SHELL
    return Form.ESCAPED
