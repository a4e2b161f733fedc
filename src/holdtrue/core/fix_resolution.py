"""The seam between the search for a fix and what resolves and rewrites the files of a project."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from holdtrue.models.audit import Finding
from holdtrue.models.dependency import Pin

Audit: TypeAlias = Callable[[Sequence[Pin]], Sequence[Finding]]
"""The findings on these pins, all of them. Raises a HoldtrueError when it could not look at every pin."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the search wants of a package; all versions as PEP 440 writes them.

    Attributes:
        minimum: The lowest version that is good; empty for any. The resolver takes exactly this one if it can.
        excluded: Versions that are not good.
        exact: The only version that is good; empty for any.
    """

    minimum: str = ""
    excluded: frozenset[str] = frozenset()
    exact: str = ""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Versions that go together.

    Attributes:
        pins: What the project pins then, with what it does not use.
        text: What the resolver wrote.
        unused: Pins of the project that are not installed here: their markers do not hold.
    """

    pins: frozenset[Pin]
    text: str
    unused: frozenset[Pin] = frozenset()


@dataclass(frozen=True, slots=True)
class NoSolution:
    """No versions go together; the reason never holds a credential."""

    reason: str


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file of a project, before and after; `name` is relative to the folder that the patch is for."""

    name: str
    before: str
    after: str


class FixableProject(Protocol):
    """A file that pins packages, with all that it includes."""

    @property
    def pins(self) -> frozenset[Pin]:
        """What it pins from an index now."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What the resolver does not take into account."""
        ...

    def resolve(self, wishes: Mapping[str, Wish], *, is_near: bool) -> Resolution | NoSolution:
        """Versions that fulfil the wishes and keep what is pinned wherever that goes.

        Near: no package goes below what is pinned, and what moves goes as little as possible. Else: anywhere.

        Raises:
            HoldtrueError: the resolver could not work.
        """
        ...

    def rewrite(self, resolution: Resolution) -> tuple[FileChange, ...] | NoSolution:
        """The files with these versions; nothing is written."""
        ...
