"""Shortens error messages of the engine, its CLI and Python to one line that keeps the cause. Pure."""

import re
from typing import Final

_HEAD_CHARACTERS: Final = 400
_TAIL_CHARACTERS: Final = 200
_TRACEBACK: Final = "Traceback (most recent call last)"
_MARKED: Final = re.compile(r"^(?:\s*(?:stdout|stderr):)?\s*error: (?P<words>.*)")
_NEXT_PART: Final = re.compile(r"^\s*(?:stdout|stderr|code|warning|info): ")


def without_middle(text: str) -> str:
    """A long text without its middle, because the cause is at the beginning or the end."""
    if len(text) <= _HEAD_CHARACTERS + _TAIL_CHARACTERS:
        return text
    return f"{text[:_HEAD_CHARACTERS].rstrip()} … {text[-_TAIL_CHARACTERS:].lstrip()}"


def shortened(text: str) -> str:
    """All lines joined to one, without the middle if that is long."""
    return without_middle(" ".join(text.split()))


def engine_words(text: str) -> str:
    """The parts that the CLI marks as errors, with their continuation lines; without any, the last line."""
    found: list[list[str]] = []
    is_open = False
    for line in text.splitlines():
        if match := _MARKED.match(line):
            found.append([match["words"]])
            is_open = True
        elif not line.strip() or _NEXT_PART.match(line):
            is_open = False
        elif is_open:
            found[-1].append(line)
    marked = dict.fromkeys(" ".join(lines) for lines in found)
    return shortened("; ".join(marked)) if marked else shortened(last_line(text))


def exception_words(text: str) -> str:
    """The exception of the last traceback in the text, with every line of its message."""
    lines = [line for line in text.rpartition(_TRACEBACK)[2].splitlines() if line.strip()]
    frames = [number for number, line in enumerate(lines) if re.match(r'\s+File "', line)]
    after = frames[-1] + 1 if frames else 0
    message = next((number for number in range(after, len(lines)) if not lines[number][0].isspace()), len(lines))
    return shortened("\n".join(lines[message:])) or shortened(last_line(text))


def last_line(text: str) -> str:
    """The last line that is not empty."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
