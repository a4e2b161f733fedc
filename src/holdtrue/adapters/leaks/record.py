"""What a search has seen so far: leaks, gaps, omissions, and how much was read."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from holdtrue.core.leaks import Found, NeedleIndex, StreamSearch, search_bytes
from holdtrue.models.leak import Leak, NotSearched


@dataclass(slots=True)
class SearchRecord:
    """Given to each place in turn. Not for several threads."""

    index: NeedleIndex
    leaks: list[Leak] = field(default_factory=list)
    not_searched: list[NotSearched] = field(default_factory=list)
    left_out: list[NotSearched] = field(default_factory=list)
    searched: int = 0
    searched_bytes: int = 0

    def look_at(self, place: str, data: bytes) -> None:
        """Search bytes that are all there."""
        self.searched += 1
        self.searched_bytes += len(data)
        self._keep(place, search_bytes(self.index, data))

    def scan(self, place: str, chunks: Iterable[bytes]) -> None:
        """Search a file; what was found so far is kept when it breaks in the middle."""
        search = StreamSearch(self.index)
        self.searched += 1
        try:
            for chunk in chunks:
                self.searched_bytes += len(chunk)
                search.feed(chunk)
        finally:
            self._keep(place, search.finish())

    def look_at_name(self, place: str, name: bytes) -> None:
        """Search what something is called. It counts as nothing that was read."""
        self._keep(f"{place} (its name)", search_bytes(self.index, name))

    def holds(self, data: bytes) -> bool:
        """Whether there is anything to find, without keeping it."""
        return self.index.holds_any(data)

    def miss(self, place: str, reason: str) -> None:
        """Write down what could not be looked at."""
        self.not_searched.append(NotSearched(place=place, reason=reason))

    def leave_out(self, place: str, reason: str) -> None:
        """Write down what was not to be looked at."""
        self.left_out.append(NotSearched(place=place, reason=reason))

    def _keep(self, place: str, found: Iterable[Found]) -> None:
        self.leaks.extend(
            Leak(name=item.name, place=place, form=item.form, offset=item.offset, count=item.count) for item in found
        )
