"""Stretches of a text."""

from collections.abc import Iterable, Iterator

Span = tuple[int, int]
"""Start and end in a text."""


def merge(spans: Iterable[Span]) -> Iterator[Span]:
    """Overlapping spans as one, in order."""
    current: Span | None = None
    for start, end in sorted(spans):
        if current is None or start >= current[1]:
            if current is not None:
                yield current
            current = start, end
        else:
            current = current[0], max(current[1], end)
    if current is not None:
        yield current
