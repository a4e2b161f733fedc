"""Compares the version texts that command-line tools print about themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass

_VERSION = re.compile(r"(?P<major>\d+)\.(?P<minor>\d+)(?:\.(?P<patch>\d+))?(?P<early>-[0-9A-Za-z]|rc|beta|alpha)?")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A version in the order of semver.org, point 11: a pre-release comes before its release."""

    major: int
    minor: int
    patch: int = 0
    is_release: bool = True

    def __str__(self) -> str:
        """Give the form `3.259.0`, without the name of a pre-release."""
        return f"{self.major}.{self.minor}.{self.patch}"


def find_version(text: str) -> Version | None:
    """Give the first version in `text` (`v3.259.0`, `go1.26.8`, `uv 0.13.9 (x86_64)`), or None when there is none."""
    match = _VERSION.search(text)
    if match is None:
        return None
    return Version(
        major=int(match["major"]),
        minor=int(match["minor"]),
        patch=int(match["patch"] or 0),
        is_release=match["early"] is None,
    )
