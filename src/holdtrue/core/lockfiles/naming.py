"""Names and versions as PEP 503 and PEP 440 write them, and what is neither."""

import re
from functools import lru_cache
from typing import Final

from packaging.version import InvalidVersion, Version

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
"""PEP 508's grammar of a name."""

_SEPARATORS: Final = re.compile(r"[-_.]+")
_REPEATABLE_VERSION: Final = re.compile(r"[A-Za-z0-9.+!_*-]{1,64}")
_CACHED: Final = 1 << 16
_LONGEST_CACHED: Final = 128
"""Longer texts are nobody's names and versions; a file full of them must not stay in memory."""

NOT_PEP_440: Final = "its version is not one of PEP 440"


def canonical_name(text: str) -> str | None:
    """The name as PEP 503 writes it, or None when it is no name."""
    return _canonical_name(text) if len(text) <= _LONGEST_CACHED else _canonical_name.__wrapped__(text)


@lru_cache(maxsize=_CACHED)
def _canonical_name(text: str) -> str | None:
    return _SEPARATORS.sub("-", text).lower() if _NAME.fullmatch(text) else None


def normalise_version(version: str) -> str | None:
    """The PEP 440 form, or None when it is not a version there."""
    return _normalise(version) if len(version) <= _LONGEST_CACHED else _normalise.__wrapped__(version)


@lru_cache(maxsize=_CACHED)
def _normalise(version: str) -> str | None:
    try:
        return str(Version(version))
    except InvalidVersion:
        return None
    except ValueError:  # a number with more digits than `int` converts
        return None


def read_version(text: str, *, missing: str = "the file gives no version") -> tuple[str, str]:
    """The version, and why no source can be asked about it.

    What is no version is kept as it stands when it looks like one; other text may hold anything, so it is dropped.
    """
    if not text:
        return "", missing
    normal = normalise_version(text)
    if normal is not None:
        return normal, ""
    return text if _REPEATABLE_VERSION.fullmatch(text) else "", NOT_PEP_440


def required_name(requirement: str) -> str | None:
    """The name that a PEP 508 requirement begins with."""
    found = _NAME.match(requirement.lstrip())
    return canonical_name(found.group()) if found else None
