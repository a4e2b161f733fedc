"""What a Python estate holds: dependencies, where each came from, and what could not be read.

Plain dataclasses: a fleet has hundred thousands of them, and none crosses a process boundary as it is.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Origin(StrEnum):
    """How a dependency is installed, which decides whether its version number identifies its code."""

    INDEX = "index"
    """From PyPI or a mirror of it."""
    INTERNAL = "internal"
    """From an index of the organisation: no public source speaks of it."""
    VCS = "vcs"
    """From a repository."""
    URL = "url"
    """An archive at an address."""
    LOCAL = "local"
    """Built from a folder or file of that machine."""
    EDITABLE = "editable"
    """A folder of that machine, in place."""
    DISTRO = "distro"
    """Installed, and patched without a new version number, by the operating system's distribution."""
    CONDA = "conda"
    """A conda package that is no PyPI project by itself."""


IDENTIFIED: Final = frozenset({Origin.INDEX})
"""Origins whose version number identifies the code, so that an advisory about it is a finding. For the others it is a
possible one, and they stay listed as not audited."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One package at one version: `name` as PEP 503 writes it, `version` as PEP 440 does."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Dependency:
    """One package of one inventory.

    Attributes:
        name: As PEP 503 writes it.
        version: As PEP 440 writes it where it is one; as it stands there otherwise; empty when unknown.
        origin: How it is installed.
        place: Where in its inventory: `line 12`, `package 3`, a site-packages folder. Never a text with a credential.
        chain: The names that brought it in, from a direct dependency to its parent; empty when direct or unknown.
        is_direct: Whether the project asks for it by itself; None when the inventory does not tell.
        marker: The environment marker (PEP 508) under which it is installed; empty for always.
        reason: Why no source can be asked about it; empty when it can. Never a text with a credential.
        index: Host and path of the index that it is locked from; empty when the inventory does not tell.
    """

    name: str
    version: str
    origin: Origin = Origin.INDEX
    place: str = ""
    chain: tuple[str, ...] = ()
    is_direct: bool | None = None
    marker: str = ""
    reason: str = ""
    index: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something of an inventory that is no dependency, and could not be read: a line, a file, a folder."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one thing holds: a file, an environment, an interpreter of a host.

    Attributes:
        label: What people call it; never with a credential.
        kind: Its format, such as `requirements`, `uv.lock`, `installed`.
        dependencies: Each once for each version and origin; several versions of one package may stand side by side.
        gaps: What could not be read.
    """

    label: str
    kind: str
    dependencies: tuple[Dependency, ...]
    gaps: tuple[Gap, ...] = ()
