"""All waivers and VEX statements of one judgement, asked finding by finding."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from holdtrue.core.vex import VexStatement, to_waiver
from holdtrue.core.waivers import covers, is_expired, speaks_of
from holdtrue.models.audit import Finding, Occurrence, Waiver, WaiverUse

NOWHERE: Final = Occurrence(inventory="")
"""The place of a finding that has none: only a waiver for every inventory covers it."""


@dataclass(frozen=True, slots=True)
class Waiving:
    """A waiver that speaks of a finding, and the labels of the inventories in which that holds."""

    waiver: Waiver
    labels: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Entry:
    """What was said, and as a waiver; None for a statement that hides nothing."""

    said: Waiver | VexStatement
    waiver: Waiver | None


class WaiverBook:
    """What they say of findings, and which of them are of use; `today` is a day in UTC."""

    def __init__(self, entries: Iterable[Waiver | VexStatement], today: date) -> None:
        self._entries = [_Entry(said, to_waiver(said) if isinstance(said, VexStatement) else said) for said in entries]
        self._today = today
        self._used: set[int] = set()
        self._by_name: dict[str, list[int]] = {}
        for index, entry in enumerate(self._entries):
            if entry.waiver is None or not is_expired(entry.waiver, today):
                for name in {name.casefold() for name in entry.said.names}:
                    self._by_name.setdefault(name, []).append(index)

    def about(self, finding: Finding) -> tuple[Waiving, ...]:
        """The waivers that speak of it, in order; expired ones do not, and a statement not where it was taken back."""
        if not self._by_name:
            return ()
        names = {name.casefold() for name in finding.names}
        indexes = sorted({index for name in names for index in self._by_name.get(name, ())})
        speaking = [index for index in indexes if speaks_of(self._entries[index].said, finding)]
        places = {place.inventory: place for place in finding.occurrences or (NOWHERE,)}
        retracted_at = self._retractions(speaking, places)
        return tuple(filter(None, (self._waiving(index, places, retracted_at) for index in speaking)))

    def uses(self) -> Iterator[WaiverUse]:
        """What became of every waiver, of findings that were asked about, in order.

        It is used when it speaks of one in a place of its own, even if that counts all the same.
        """
        for index, entry in enumerate(self._entries):
            if entry.waiver is None:
                continue
            if is_expired(entry.waiver, self._today):
                yield WaiverUse(waiver=entry.waiver, state="expired")
            else:
                yield WaiverUse(waiver=entry.waiver, state="used" if index in self._used else "unused")

    def _retractions(self, speaking: Iterable[int], places: Mapping[str, Occurrence]) -> Mapping[str, datetime]:
        """When what was said was last taken back, by the label of the place."""
        moments: dict[str, datetime] = {}
        for index in speaking:
            said = self._entries[index].said
            if isinstance(said, VexStatement) and said.is_retraction:
                for label, place in places.items():
                    if covers(said, place):
                        moments[label] = max(said.made_at, moments.get(label, said.made_at))
        return moments

    def _waiving(
        self, index: int, places: Mapping[str, Occurrence], retracted_at: Mapping[str, datetime]
    ) -> Waiving | None:
        entry = self._entries[index]
        covered = [label for label, place in places.items() if covers(entry.said, place)]
        if entry.waiver is None or not covered:
            return None
        self._used.add(index)
        if isinstance(entry.said, VexStatement):
            made_at = entry.said.made_at
            covered = [label for label in covered if label not in retracted_at or made_at > retracted_at[label]]
        return Waiving(entry.waiver, frozenset(covered))
