"""Other people's text, made safe for the place it goes to.

Advisories, labels and names are written by strangers. Each sink has its own way to be misled: a terminal obeys control
sequences, a CI runner obeys lines, a page obeys markup. Only `json_text` keeps a text whole, the others cut it.
"""

import html
import re
from typing import Final

from pydantic_core import PydanticSerializationError, to_json

TEXT_LIMIT: Final = 240
"""Characters of one line of prose that a person still reads."""

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_MARKUP: Final = re.compile(r"([\\`*_{}\[\]()#!~@$])|:(?=//)|(?<=www)\.", re.IGNORECASE)
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}
_ENTITY: Final = re.compile(r"[&<>|]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NOT_PLAIN_ASCII: Final = re.compile(r"[^\n\x20-\x7e]")
_URL_PART: Final = r"(?:[A-Za-z0-9\-._~:/?@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*"
_LINK: Final = re.compile(
    rf"https?://[a-z0-9.-]+(?::[0-9]{{1,5}})?(?:[/?]{_URL_PART})?(?:#{_URL_PART})?", re.IGNORECASE
)
_LINK_LIMIT: Final = 2000


def one_line(text: str, limit: int = TEXT_LIMIT) -> str:
    """At most `limit` characters without control, direction-changing, invisible or half (surrogate) characters.

    Line breaks become blanks. Linear in `limit`, whatever the length of the text.
    """
    # What is looked at is a few times what may be shown, for runs of blanks collapse to one.
    words = " ".join(text[: 4 * limit].split())
    shown = f"{words[: limit - 1]}…" if len(words) > limit or len(text) > 4 * limit else words
    return _printable(shown)


def for_terminal(text: str, limit: int = TEXT_LIMIT) -> str:
    """A part of a line for a terminal or a CI log; the line must begin with a word of ours."""
    return unobeyed(one_line(text, limit))


def unobeyed(line: str) -> str:
    """A whole line that begins with a word of ours, of any length, for a terminal or a CI log.

    Azure Pipelines and GitHub's runner obey `##vso[` and `##[` anywhere in a line, and `::error::` at its beginning.
    """
    return re.sub("#(?=#)", "# ", _printable(line))


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _REPLACEMENT for character in text)


def for_markdown(text: str, limit: int = TEXT_LIMIT) -> str:
    """A table cell or a part of a line of markdown: nothing in it is markup, HTML, a mention or a link.

    What is HTML elsewhere becomes an entity, for renderers differ in what a backslash protects.
    """
    escaped = _MARKUP.sub(r"\\\g<0>", one_line(text, limit))
    return _ENTITY.sub(lambda match: _ENTITIES[match.group()], escaped)


def for_html(text: str, limit: int = TEXT_LIMIT) -> str:
    """Text of an element or of a quoted attribute."""
    return html.escape(one_line(text, limit), quote=True).replace("##", "#&#35;")


def for_sarif(text: str, limit: int = TEXT_LIMIT) -> str:
    """A plain text message: no placeholders (SARIF 2.1.0, 3.11.5) and no embedded links (3.11.6)."""
    return one_line(text, limit).replace("](", "] (").replace("{", "{{").replace("}", "}}")


def web_link(address: str) -> str:
    """The address if it is a plain one for http or https, without a user name in it; empty otherwise."""
    return address if len(address) <= _LINK_LIMIT and _LINK.fullmatch(address) else ""


def json_text(document: object) -> str:
    """Indented JSON in printable ASCII, which neither a terminal nor a CI runner takes for a command.

    Escaping changes no value, but that a lone surrogate, which UTF-8 cannot hold, becomes U+FFFD; NaN becomes null.
    """
    try:
        text = to_json(document, indent=2, inf_nan_mode="null").decode()
    except PydanticSerializationError:
        text = to_json(_encodable(document), indent=2, inf_nan_mode="null").decode()
    # Outside of strings JSON has no number sign; see `for_terminal` for what two of them may begin.
    return _NOT_PLAIN_ASCII.sub(_json_escape, text).replace("##", "#\\u0023")


def _encodable(value: object) -> object:
    match value:
        case str():
            return value if value.isascii() else _SURROGATE.sub(_REPLACEMENT, value)
        case dict():
            return {_encodable(key): _encodable(item) for key, item in value.items()}
        case list() | tuple():
            return [_encodable(item) for item in value]
        case _:
            return value


def _json_escape(match: re.Match[str]) -> str:
    """One character as JSON writes it in ASCII: beyond U+FFFF that is a pair of surrogates."""
    units = match.group().encode("utf-16-be").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
