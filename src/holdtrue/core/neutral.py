"""Text from outside, made neutral for the place where it is shown.

Names of resources and hosts, messages of engines, answers of people, advisories and file names are written by others.
Each sink can be misled in its own way: a terminal obeys control sequences, the reader of a log believes each line, a CI
runner obeys commands, a page obeys markup. The functions here are applied where a text is shown, not where it comes in,
so that data and JSON keep the true text.

An unsafe character is never deleted. It becomes U+FFFD, so that two parts of a text do not join.
"""

import html
import re
from typing import Final

from pydantic_core import PydanticSerializationError, to_json

from holdtrue.core.excerpt import excerpt

TEXT_LIMIT: Final = 240
"""Characters of one line of prose that a person still reads."""

LOG_LIMIT: Final = 20_000
"""Characters of one log record, some 250 lines of a terminal."""

CONTINUED: Final = "    | "
"""Begins each further line of a log record. A line that begins with it is never a record of its own."""

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)
"""What Unicode lets a renderer leave out (Default_Ignorable_Code_Point) and Python takes for printable.

U+FE0E and U+FE0F are not in it: they choose between the two looks of a character such as U+26A0.
"""

_LINE_BREAKS: Final = frozenset("\r\n\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029")
_COMMAND: Final = re.compile(r"#(?=#)|^\s*:(?=:)")
_MARKUP: Final = re.compile(r"([\\`*_{}\[\]()#!~@$])|:(?=//)|(?<=www)\.", re.IGNORECASE)
_BLOCK: Final = re.compile(r"^(\d{1,9})(?=\.(?:\s|$))|^(?=[-+=:])")
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


def several_lines(text: str, limit: int = LOG_LIMIT) -> str:
    """`one_line` for a place with room for several lines, such as the message of a state: line breaks become newlines.

    A long text loses its middle.
    """
    return "\n".join(map(unobeyed, excerpt(text, limit).splitlines()))


def for_log(text: str, limit: int = LOG_LIMIT) -> str:
    """The message of a log record, for a terminal, a file or Prefect: further lines begin with `CONTINUED`.

    So a message cannot contain what looks like the next record. Applied again, it adds no second mark.
    """
    unmarked = text.replace(f"\n{CONTINUED}", "\n")
    return several_lines(unmarked, limit).replace("\n", f"\n{CONTINUED}")


def for_terminal(text: str, limit: int = TEXT_LIMIT) -> str:
    """A part of a line for a terminal or a CI log."""
    return unobeyed(one_line(text, limit))


def unobeyed(line: str) -> str:
    """A whole line of any length, for a terminal or a CI log.

    Azure Pipelines and GitHub's runner obey `##vso[` and `##[` anywhere in a line, and `::error::` at its beginning.
    """
    return _COMMAND.sub(r"\g<0> ", _printable(line))


def _printable(text: str) -> str:
    if text.isprintable() and not _INVISIBLE.search(text):
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character == "\t":
        return "    "
    if character.isspace() and character not in _LINE_BREAKS:
        return " "
    return character if character.isprintable() and not _INVISIBLE.match(character) else _REPLACEMENT


def for_markdown(text: str, limit: int = TEXT_LIMIT) -> str:
    """A table cell or a part of a line of markdown: nothing in it is markup, HTML, a mention or a link.

    Characters of HTML become entities, because renderers differ in what a backslash protects. At the beginning of a
    line it does not start a list, heading or rule.
    """
    escaped = _BLOCK.sub(r"\1\\", _MARKUP.sub(r"\\\g<0>", one_line(text, limit)))
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


def json_text(document: object, indent: int | None = 2) -> str:
    """JSON in printable ASCII, which neither a terminal nor a CI runner takes for a command.

    Escaping changes no value, but that a lone surrogate, which UTF-8 cannot hold, becomes U+FFFD; NaN becomes null.
    """
    try:
        text = to_json(document, indent=indent, inf_nan_mode="null").decode()
    except PydanticSerializationError:
        text = to_json(_encodable(document), indent=indent, inf_nan_mode="null").decode()
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
