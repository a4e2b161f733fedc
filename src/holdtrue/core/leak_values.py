"""The values to search for, as a person hands them over: never on a command line, and never repeated in a message."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Final

from pydantic import SecretStr

from holdtrue.core.forms import refusal
from holdtrue.errors import RejectedError
from holdtrue.models.leak import KnownValue

_LONGEST: Final = 65_536
"""Characters. The search keeps a multiple of a value in memory; what is longer is a file, not a secret."""

_NAMED: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.+)")
_HELP: Final = (
    "give one value a line, NAME=VALUE on every line, or JSON: an object of names and texts, or a list of texts."
)


def parse_values(text: str) -> tuple[KnownValue, ...]:
    """The values of a text: lines, or JSON for those of several lines.

    The lines are read as NAME=VALUE only if all of them are: a value may hold an equals sign itself.

    Raises:
        RejectedError: there is none, the JSON holds something else, or one cannot be searched for.
    """
    stripped = text.strip()
    values = tuple(_parse_json(stripped) if stripped.startswith(("{", "[")) else _parse_lines(stripped.splitlines()))
    if not values:
        raise RejectedError("there is no value to search for", next_step=_HELP)
    check_values(values)
    return values


def check_values(values: Iterable[KnownValue]) -> None:
    """Refuse values that would be found where they are not, or that are no secrets.

    Raises:
        RejectedError: one is too short, too common or too long; each of them is named, none is shown.
    """
    reasons = {item.name: reason for item in values if (reason := _refusal(item.value.get_secret_value())) is not None}
    if reasons:
        raise RejectedError(
            "cannot be searched for: " + "; ".join(f"{name}: {reason}" for name, reason in reasons.items()),
            next_step="leave them out, and replace such secrets with longer random ones",
        )


def _refusal(text: str) -> str | None:
    if len(text) > _LONGEST:
        return f"it has more than {_LONGEST} characters"
    return refusal(text)


def _parse_lines(lines: list[str]) -> Iterator[KnownValue]:
    filled = [line.strip() for line in lines if line.strip()]
    named = [_NAMED.fullmatch(line) for line in filled]
    # Base64 ends in equals signs: what is left of them is then no name.
    if all(match is not None and match[2].strip("=") for match in named):
        yield from (KnownValue(name=match[1], value=SecretStr(match[2])) for match in named if match is not None)
    else:
        yield from _numbered(filled)


def _parse_json(text: str) -> Iterator[KnownValue]:
    try:
        given = json.loads(text)
    except ValueError:
        # A password may begin with a bracket, too.
        yield from _parse_lines(text.splitlines())
        return
    texts = list(given.values()) if isinstance(given, dict) else given
    if not isinstance(texts, list) or not all(isinstance(item, str) for item in texts):
        raise RejectedError("the JSON holds more than texts", next_step=_HELP)
    if isinstance(given, dict):
        yield from (KnownValue(name=name, value=SecretStr(value)) for name, value in given.items())
    else:
        yield from _numbered(texts)


def _numbered(texts: Iterable[str]) -> Iterator[KnownValue]:
    yield from (KnownValue(name=f"value {number}", value=SecretStr(text)) for number, text in enumerate(texts, start=1))
