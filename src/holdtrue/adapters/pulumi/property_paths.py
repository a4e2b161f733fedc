"""Property paths as in `ignore_changes`, and values without the properties at such paths. Pure.

Source of the syntax: PropertyPath in pulumi sdk/go/common/resource/property_path.go: `root.nested`, `root["a.b"]`,
`root[0].nested`, and `*` or `[*]` for every key or index.
"""

import re
from collections.abc import Iterable
from enum import Enum
from typing import Final, TypeAlias

from holdtrue.adapters.pulumi.messages import Json

_SEGMENT: Final = re.compile(r'\.?(?:\["(?P<quoted>(?:[^"\\]|\\.)*)"\]|\[(?P<index>\d+|\*)\]|(?P<name>[^.\[\]"]+))')


class Every(Enum):
    """The wildcard."""

    EVERY = "*"


Segment: TypeAlias = str | int | Every
Path: TypeAlias = tuple[Segment, ...]


def parse_path(text: str) -> Path:
    """The path's segments; empty for a string that is not a path, which the engine skips too."""
    segments: list[Segment] = []
    position = 0
    while position < len(text):
        match = _SEGMENT.match(text, position)
        if match is None:
            return ()
        segments.append(_segment(match))
        position = match.end()
    return tuple(segments)


def covers(pattern: Path, path: Path) -> bool:
    """Whether `path` matches `pattern`, or is inside a property that does."""
    return bool(pattern) and len(pattern) <= len(path) and all(map(_matches, pattern, path))


def without(value: Json, patterns: Iterable[Path]) -> Json:
    """The value without what matches: keys are removed, list items replaced by None (removed at the end of the list).

    List items keep their index, so that the rest of two values can be compared item by item.
    """
    mine = [pattern for pattern in patterns if pattern]
    if not mine:
        return value
    match value:
        case dict():
            kept = {key: item for key, item in value.items() if not _is_named(key, mine)}
            return {key: without(item, _inside(key, mine)) for key, item in kept.items()}
        case list():
            items = [
                None if _is_named(index, mine) else without(item, _inside(index, mine))
                for index, item in enumerate(value)
            ]
            while items and _is_named(len(items) - 1, mine):
                items.pop()
            return items
        case _:
            return value


def _segment(match: re.Match[str]) -> Segment:
    quoted, index, name = match.group("quoted", "index", "name")
    if quoted is not None:
        return re.sub(r"\\(.)", r"\1", quoted)
    if "*" in {index, name}:
        return Every.EVERY
    return int(index) if index is not None else str(name)


def _matches(pattern: Segment, segment: Segment) -> bool:
    return pattern is Every.EVERY or pattern == segment


def _is_named(segment: Segment, patterns: Iterable[Path]) -> bool:
    return any(len(pattern) == 1 and _matches(pattern[0], segment) for pattern in patterns)


def _inside(segment: Segment, patterns: Iterable[Path]) -> list[Path]:
    return [pattern[1:] for pattern in patterns if len(pattern) > 1 and _matches(pattern[0], segment)]
