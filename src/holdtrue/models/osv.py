"""Advisories as OSV tells them, read with tolerance, and the seam of what can be asked about them.

Schema: https://ossf.github.io/osv-schema/ (1.x). Plain dataclasses: a dump holds tens of thousands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from holdtrue.models.dependency import Pin


class EventKind(StrEnum):
    """What happens at a version of a range."""

    INTRODUCED = "introduced"
    FIXED = "fixed"
    LAST_AFFECTED = "last_affected"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a range; the version is as it stands in the record, PEP 440 or not."""

    kind: EventKind
    version: str


@dataclass(frozen=True, slots=True)
class Affected:
    """One `affected` entry about a PyPI package.

    Attributes:
        package: Its name as PEP 503 writes it.
        ranges: The events of each ECOSYSTEM range (SEMVER and GIT ranges say nothing about PyPI versions).
        versions: The versions listed one by one, as they stand in the record.
        vectors: CVSS vectors of this entry alone.
    """

    package: str
    ranges: tuple[tuple[Event, ...], ...] = ()
    versions: tuple[str, ...] = ()
    vectors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AdvisoryRecord:
    """One advisory.

    Attributes:
        id: Its id, such as PYSEC-2023-1.
        aliases: Other ids of the same flaw, without its own.
        modified: As it stands in the record; empty when it has none.
        published: When it was published; None when unknown or unreadable.
        withdrawn: The time from which it no longer stands; None when it was not withdrawn. A record makes no finding
            from then on, and does before.
        summary: One line; hostile text: every output escapes it for itself.
        vectors: CVSS vectors (`CVSS:3.1/...`, `CVSS:4.0/...`, version 2 without prefix), valid or not.
        rating: The database's own word for the severity (`HIGH`); empty when it has none.
        affected: What it says about PyPI packages.
        link: An address to read more at; empty when it has none.
    """

    id: str
    aliases: tuple[str, ...] = ()
    modified: str = ""
    published: datetime | None = None
    withdrawn: datetime | None = None
    summary: str = ""
    vectors: tuple[str, ...] = ()
    rating: str = ""
    affected: tuple[Affected, ...] = ()
    link: str = ""

    def stands(self, at: datetime) -> bool:
        """Whether it is not withdrawn at that time, which has a zone."""
        return self.withdrawn is None or self.withdrawn > at


class Certainty(StrEnum):
    """How sure a match is."""

    AFFECTED = "affected"
    POSSIBLE = "possible"
    """Something about it could not be read, or the version number does not identify the code."""


@dataclass(frozen=True, slots=True)
class Match:
    """An advisory that speaks of a pin.

    Attributes:
        advisory: Which.
        certainty: How sure it is.
        doubt: Why it is only possible; empty when it is sure.
        fixed_in: Versions that mend it, above the pin's version where that can be compared; in PEP 440 order.
    """

    advisory: AdvisoryRecord
    certainty: Certainty = Certainty.AFFECTED
    doubt: str = ""
    fixed_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """What a source said.

    Attributes:
        matches: The advisories on each pin; a pin that is in neither mapping was asked about and has none.
        unanswered: Why a pin was not (fully) answered; its matches, if any, stand all the same.
        snapshot_at: How old the source's data are; None for one that is asked live, and for a snapshot without a date.
        is_live: Whether the source was asked as it is now, and not a snapshot of it.
    """

    matches: Mapping[Pin, tuple[Match, ...]] = field(default_factory=dict)
    unanswered: Mapping[Pin, str] = field(default_factory=dict)
    snapshot_at: datetime | None = None
    is_live: bool = True


class AdvisorySource(Protocol):
    """Something that knows advisories. Retries what may pass by itself, with backoff, before it gives up."""

    @property
    def name(self) -> str:
        """Short and stable: `osv`, `osv-db`, `pypi`, `pip-audit`."""
        ...

    @property
    def location(self) -> str:
        """Address or path, without credentials."""
        ...

    def ask(self, pins: Sequence[Pin]) -> SourceAnswer:
        """What it knows of these, all in one go; each pin stands there once. Without pins it asks nobody.

        Raises:
            ServiceUnreachable, ServiceNotReady: it could not answer about any of them.
            RejectedError: it is not what its location promised (a dump that is no dump).
        """
        ...
