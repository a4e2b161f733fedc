"""Names that everybody may read, and that must not be treated as secrets.

A database user often has the name of the environment. If that name were treated as a secret, it would be redacted in
the names of runs and artifacts, and nothing could find them.
"""

from collections.abc import Iterable
from typing import Final

_PUBLISHED: Final[set[str]] = set()


def publish_names(names: Iterable[str]) -> None:
    """Never treat these names, or parts of them, as secrets."""
    _PUBLISHED.update(name.casefold() for name in names)


def is_public(value: str) -> bool:
    """Whether the value is a published name or a part of one."""
    return any(value.strip().casefold() in name for name in frozenset(_PUBLISHED))
