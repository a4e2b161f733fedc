"""How other programs write a text: the escapes of JSON, Python, YAML, URLs, HTML, XML, SQL, CSV and shells.

Each encoder here works character by character: how it writes one does not depend on the others. So a written text is a
sequence of spellings, one for each character, and a program that escapes only some of them is covered too.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from html import escape
from html.entities import codepoint2name
from string import ascii_letters, digits
from typing import Final

from holdtrue.core.spans import Span

Encoder = Callable[[str], str]

PLAIN: Final = frozenset(f"{ascii_letters}{digits}_.-")
"""No encoder changes these characters, and most tokens consist of them."""

_PLAIN_STRETCH: Final = re.compile(r"[A-Za-z0-9_.-]+")

_URL_SAFE: Final = (
    *("", "/", "!'()*", "!'()*;,/?:@&=+$#", "$&+=:@", "$&+,;="),
    *("!#$%&'()*+,/:;=?@[]", "!$%&'()*+,;=:", "!$&'()*+,;=:/?@"),
    *("!$%&'()*+,;=@[\\]^|/:", "!$%&'()*+,/:;=?@[\\]^`{|}", "!#$%&'()*+,/:;=?@[\\]^{|}"),
)
"""What encoders of URLs leave alone besides letters, digits and `_.~-`.

Python twice, JavaScript twice, Go for paths and users; requests; httpx for users, and urllib3; httpx for paths, queries
and fragments.
"""

_SHELL_SAFE: Final = (r"\w@%+=:./#~\u0080-\U0010ffff-", r"\w@%+=:,./-", r"A-Za-z0-9_.,:+/@-")
"""What gets no backslash from bash's `printf %q`, in the manner of Python's shlex, and from Ruby's Shellwords."""

_CONTROLS: Final = r"\x00-\x1f\x7f"
_OTHER_ALPHABETS: Final = r"\x80-\U0010ffff"

_LETTERS: Final = {
    "\\": r"\\",
    "\a": r"\a",
    "\b": r"\b",
    "\t": r"\t",
    "\n": r"\n",
    "\v": r"\v",
    "\f": r"\f",
    "\r": r"\r",
}
"""The backslash, and the control characters that C, Go, YAML and shells write with a letter."""

_YAML_LETTERS: Final = _LETTERS | {
    '"': r"\"",
    "\0": r"\0",
    "\x1b": r"\e",
    "\x85": r"\N",
    "\xa0": r"\_",
    "\u2028": r"\L",
    "\u2029": r"\P",
}


def plain_stretches(text: str) -> Iterator[Span]:
    """The stretches of characters that no program escapes."""
    return (found.span() for found in _PLAIN_STRETCH.finditer(text))


def is_plain(text: str) -> bool:
    """Whether no program escapes any of these characters."""
    return _PLAIN_STRETCH.fullmatch(text) is not None


def escaped(value: str) -> set[str]:
    """The value as each program escapes it; empty if no program has to."""
    return set() if is_plain(value) else {encode(value) for encode in _encoders()}


@lru_cache(maxsize=1024)
def spellings(character: str) -> tuple[str, ...]:
    """A character as it is, as one program writes it, and as a second program writes the result."""
    if character in PLAIN:
        return (character,)
    once = {encode(character) for encode in _encoders()}
    twice = {second for first in once for second in _escaped_again(first)}
    return tuple(sorted({character, *once, *twice}))


def _escaped_again(text: str) -> Iterator[str]:
    characters = "".join(sorted({*text} - PLAIN))
    for written in _written(characters):
        yield text.translate(dict(zip(map(ord, characters), written, strict=True)))


@lru_cache(maxsize=1024)
def _written(characters: str) -> frozenset[tuple[str, ...]]:
    """These characters, one by one, as each program writes them."""
    return frozenset(tuple(map(encode, characters)) for encode in _encoders())


@cache
def _encoders() -> tuple[Encoder, ...]:
    return tuple(
        encode
        for family in (
            _for_json,
            _for_python,
            _for_strings,
            _for_doubled_quotes,
            _for_markup,
            _for_shells,
            _for_urls,
            _for_lines,
        )
        for encode in family()
    )


def _mapped(mapping: Mapping[str, str]) -> Encoder:
    table = str.maketrans(dict(mapping))
    return lambda value: value.translate(table)


def _replaced(characters: str, write: Callable[[str], str]) -> Encoder:
    """An encoder that rewrites each character of this class of a regular expression."""
    pattern = re.compile(f"[{characters}]")
    return lambda value: pattern.sub(lambda found: write(found[0]), value)


def _both(first: Encoder, second: Encoder) -> Encoder:
    return lambda value: second(first(value))


def _for_json() -> Iterator[Encoder]:
    """With and without other alphabets; as Go escapes it (Pulumi, Vault), as Jinja's `tojson` does, and as PHP does."""
    yield from (_json, _ascii_json)
    yield _both(_json, _replaced("<>&\u2028\u2029", lambda character: f"\\u{ord(character):04x}"))
    yield _both(_ascii_json, _replaced("<>&'", lambda character: f"\\u{ord(character):04x}"))
    yield _both(_ascii_json, _mapped({"/": r"\/"}))


def _json(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _ascii_json(value: str) -> str:
    return json.dumps(value)[1:-1]


def _for_python() -> Iterator[Encoder]:
    """As `repr` and `ascii` write a text or bytes, which escape single quotes only if there are also double ones."""
    for write in (
        lambda value: repr(f'"{value}')[2:-1],
        lambda value: ascii(f'"{value}')[2:-1],
        lambda value: repr(b'"' + _raw(value))[3:-1],
    ):
        yield _both(write, lambda quoted: quoted.replace(r"\'", "'"))
        yield _both(write, lambda quoted: quoted.replace(r"\'", "'").replace("'", r"\'"))


def _for_strings() -> Iterator[Encoder]:
    """As YAML in double quotes, Go's %q, bash's $'...' and SQL with backslashes write it."""
    yield _both(_mapped(_YAML_LETTERS), _replaced(_CONTROLS + _OTHER_ALPHABETS, _yaml_number))
    for characters in (_CONTROLS, _CONTROLS + _OTHER_ALPHABETS):
        yield _both(_mapped(_LETTERS | {'"': r"\""}), _replaced(characters, _go_number))
    for quotes in ("'", "'\""):
        quoted = {quote: f"\\{quote}" for quote in quotes}
        yield _mapped({"\\": r"\\"} | quoted)
        yield _both(_mapped(_LETTERS | {"\x1b": r"\E"} | quoted), _replaced(_CONTROLS + _OTHER_ALPHABETS, _octal))


def _yaml_number(character: str) -> str:
    return _backslash_number(character, "X", last_x="\xff")


def _go_number(character: str) -> str:
    return _backslash_number(character, "x", last_x="\x7f")


def _backslash_number(character: str, case: str, *, last_x: str) -> str:
    letter, width = ("x", 2) if character <= last_x else ("u", 4) if character <= "\uffff" else ("U", 8)
    return f"\\{letter}{ord(character):0{width}{case}}"


def _octal(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in _raw(character))


def _for_doubled_quotes() -> Iterator[Encoder]:
    """As SQL, CSV and YAML in single quotes double their quotes; drivers for SQL also double percent signs."""
    for doubled in ("'", '"', "%", "'%", "\\'%"):
        yield _mapped({character: character * 2 for character in doubled})


def _for_markup() -> Iterator[Encoder]:
    """As HTML and XML write texts and attributes, with names and with numbers."""
    for quotes in (
        *({}, {'"': "&quot;"}, {'"': "&quot;", "'": "&#x27;"}, {'"': "&quot;", "'": "&#39;"}),
        *({'"': "&quot;", "'": "&apos;"}, {'"': "&#34;", "'": "&#39;"}),
        *({'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": tab} for tab in ("&#9;", "&#09;")),
    ):
        yield _both(_text_of_markup, _mapped(quotes))
    yield _both(_text_of_markup, _replaced(_OTHER_ALPHABETS, _named))
    for write in ("&#{:d};", "&#x{:x};", "&#x{:X};"):
        yield _both(_text_of_markup, _replaced(_OTHER_ALPHABETS, _numbered(write)))
        yield _replaced(r"^A-Za-z0-9_.\-", _numbered(write))


def _text_of_markup(value: str) -> str:
    return escape(value, quote=False)


def _named(character: str) -> str:
    name = codepoint2name.get(ord(character))
    return character if name is None else f"&{name};"


def _numbered(form: str) -> Encoder:
    return lambda character: form.format(ord(character))


def _for_shells() -> Iterator[Encoder]:
    """Within quotes of either kind, and with a backslash before what means something to a shell."""
    yield _mapped({"'": "'\"'\"'"})
    yield _mapped({"'": r"'\''"})
    for characters in (r'"$`\\', *(f"^{safe}" for safe in _SHELL_SAFE)):
        yield _replaced(characters, lambda character: f"\\{character}")


def _for_urls() -> Iterator[Encoder]:
    """With capital and with small digits, and with a plus sign for a space."""
    for safe in _URL_SAFE:
        characters = rf"^A-Za-z0-9_.~\-{re.escape(safe)}"
        for case in ("X", "x"):
            write = _percent(case)
            yield _replaced(characters, write)
            yield _both(_replaced(f"{characters} ", write), _mapped({" ": "+"}))


def _for_lines() -> Iterator[Encoder]:
    """As YAML and textwrap break a long line at a space, with the next line's indent."""
    for indent in ("", *(" " * width for width in (2, 4, 6, 8))):
        yield _mapped({" ": f"\n{indent}"})
        yield _mapped({" ": f"\\\n{indent}\\ "})


def _percent(case: str) -> Encoder:
    return lambda character: "".join(f"%{byte:02{case}}" for byte in _raw(character))


def _raw(value: str) -> bytes:
    """Lone surrogates stand for bytes that were not UTF-8 when they were read."""
    return value.encode(errors="surrogatepass")
