"""Names that everybody may read, and that a secret must not be mistaken for.

A database user is often called like the environment. Taken for a secret, it would garble the names of runs and
artifacts, and what looks for these would not find them.
"""

from collections.abc import Iterable
from typing import Final

_PUBLISHED: Final[set[str]] = set()


def publish_names(names: Iterable[str]) -> None:
    """Have these never taken for secrets, nor parts of them."""
    _PUBLISHED.update(name.casefold() for name in names)


def is_public(value: str) -> bool:
    """Whether the value is a published name or a part of one."""
    return any(value.strip().casefold() in name for name in frozenset(_PUBLISHED))
