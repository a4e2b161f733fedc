"""How other programs write a text: the escapes of JSON, Python, URLs, HTML, XML and shells."""

import json
import re
from collections.abc import Iterator
from html import escape
from typing import Final
from urllib.parse import quote

_URL_SAFE: Final = tuple(
    {f"%{ord(character):02X}": character for character in safe} for safe in ("", "/", "!'()*", "$&+=:@", "$&+,;=")
)
"""What encoders leave alone besides letters, digits and `_.-~`: Python twice, JavaScript, Go for paths and users."""

_SHELL_UNSAFE: Final = tuple(
    re.compile(f"[^{safe}]") for safe in (r"\w@%+=:./#~\u0080-\U0010ffff-", r"\w@%+=:,./-", r"A-Za-z0-9_.,:+/@-")
)
"""What gets a backslash: from bash's `printf %q`, in the manner of Python's shlex, and from Ruby's Shellwords."""

_DOUBLE_QUOTED_UNSAFE: Final = re.compile(r'["$`\\]')

_NEVER_ESCAPED: Final = re.compile(r"[A-Za-z0-9_.~-]*")
"""Most tokens are of these letters, and their other forms are the token itself."""

_GO_JSON: Final = str.maketrans(
    {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
)
"""Go's encoding/json, the voice of Pulumi and of the Vault API, escapes these as well."""

_XML_ATTRIBUTE: Final = str.maketrans({'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#09;"})
"""On top of `&`, `<` and `>`, as xml.etree writes attributes."""

_GO_HTML: Final = str.maketrans({'"': "&#34;", "'": "&#39;"})


def escaped(value: str) -> set[str]:
    """In every way in which one of them writes it; nothing for what none has to escape."""
    if _NEVER_ESCAPED.fullmatch(value):
        return set()
    raw = value.encode(errors="surrogatepass")
    return {*_for_json(value), *_for_python(value, raw), *_for_markup(value), *_for_urls(raw), *_for_shells(value)}


def escaped_within(value: str) -> set[str]:
    """As one that gets it from another writes it: JSON in a command line, a command line in JSON.

    Without markup, and of each kind the usual way: with all of `escaped`, a value would have a thousand forms.
    """
    return {form for once in _usually(value) for form in _usually(once)}


def _usually(value: str) -> set[str]:
    if _NEVER_ESCAPED.fullmatch(value):
        return set()
    raw = value.encode(errors="surrogatepass")
    url = quote(raw, safe="")
    single_quoted, traced, double_quoted, backslashed, *_ = _for_shells(value)
    return {
        *(json.dumps(value, ensure_ascii=False)[1:-1], json.dumps(value)[1:-1]),
        *(form for quoted in (repr(f'"{value}')[2:-1], repr(b'"' + raw)[3:-1]) for form in _in_either_quotes(quoted)),
        *(url, url.replace("%2F", "/"), url.replace("%20", "+")),
        *(single_quoted, traced, double_quoted, backslashed),
    }


def _for_json(value: str) -> Iterator[str]:
    """With and without other alphabets, as Go escapes it, and as PHP does; also inside JSON."""
    plain, ascii_only = json.dumps(value, ensure_ascii=False)[1:-1], json.dumps(value)[1:-1]
    yield from (plain, ascii_only, plain.translate(_GO_JSON), plain.replace("/", r"\/"))
    yield from (json.dumps(form, ensure_ascii=False)[1:-1] for form in (plain, ascii_only))


def _for_python(value: str, raw: bytes) -> Iterator[str]:
    """As repr writes text and bytes."""
    for quoted in (repr(f'"{value}')[2:-1], ascii(f'"{value}')[2:-1], repr(b'"' + raw)[3:-1]):
        yield from _in_either_quotes(quoted)


def _in_either_quotes(quoted: str) -> tuple[str, str]:
    """Of a repr in single quotes, which a double quote in front of the value brings about.

    Which of the two repr takes, and whether it escapes single ones, depends on the whole text.
    """
    return quoted.replace(r"\'", "'"), quoted.replace(r"\'", "'").replace("'", r"\'")


def _for_markup(value: str) -> Iterator[str]:
    """For HTML as Python and Go write it, and for XML's texts and attributes."""
    text = escape(value, quote=False)
    yield from (escape(value), text, text.translate(_GO_HTML), text.translate(_XML_ATTRIBUTE))


def _for_shells(value: str) -> Iterator[str]:
    """Within quotes of either kind, and with a backslash before what means something to a shell."""
    yield value.replace("'", "'\"'\"'")
    yield value.replace("'", r"'\''")
    for unsafe in (_DOUBLE_QUOTED_UNSAFE, *_SHELL_UNSAFE):
        yield unsafe.sub(lambda found: f"\\{found[0]}", value)


def _for_urls(raw: bytes) -> Iterator[str]:
    """With capital and with small digits."""
    whole = quote(raw, safe="")
    forms = [whole.replace("%20", "+")]
    for safe in _URL_SAFE:
        form = whole
        for code, character in safe.items():
            form = form.replace(code, character)
        forms.append(form)
    for form in forms:
        yield form
        head, *rest = form.split("%")
        yield "%".join([head, *(part[:2].lower() + part[2:] for part in rest)])
