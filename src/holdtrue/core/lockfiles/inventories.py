"""Put the entries of one file together: who brought in whom, duplicates once."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from holdtrue.core.lockfiles.document import Table
from holdtrue.core.lockfiles.naming import canonical_name
from holdtrue.models.dependency import Dependency, Inventory, Origin

OWN_PROJECT: Final = "the project itself: no public source speaks of it"
"""Reason of the project whose lock file it is, and of its workspace's members."""

_LONGEST_CHAIN: Final = 64
"""Chains share no memory, so a hostile file with a path through all its packages would need the square of its size."""

Need: TypeAlias = tuple[str, str]
"""The name that an entry asks for, and the version if it says which; empty for any that the file holds."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A dependency as its file lists it.

    Attributes:
        dependency: Without chain, and without `is_direct` where only the graph tells it.
        needs: What it brings in.
        is_root: Whether it is a project that the lock file is made for; what it needs is direct.
        is_listed: False for a folder of which nothing is installed (its needs are).
    """

    dependency: Dependency
    needs: tuple[Need, ...] = ()
    is_root: bool = False
    is_listed: bool = True


def named_tables(tables: Iterable[Table]) -> Iterator[tuple[str, Table]]:
    """Each with its canonical name; one without such a name is a gap."""
    for table in tables:
        name = canonical_name(table.text("name"))
        if name is None:
            table.report("its name is missing, or not one of PEP 508")
        else:
            yield name, table


def make_inventory(
    root: Table, kind: str, entries: Sequence[Entry], *, direct: Iterable[Need] | None = None, is_complete: bool = False
) -> Inventory:
    """The inventory of the file whose root table it is.

    Args:
        root: Its place is the inventory's label, and its gaps are the inventory's.
        kind: The format.
        entries: In the order of the file.
        direct: What the project asks for besides the needs of the roots; None when that is not known.
        is_complete: Whether the file holds everything that its entries need, so that something absent is a gap.
    """
    if is_complete:
        _report_missing(root, entries)
    listed = merge_duplicates(
        item for item, entry in zip(link(entries, direct), entries, strict=True) if entry.is_listed
    )
    if not listed and not root.gaps:
        root.report("holds no packages")
    return Inventory(root.place, kind, listed, root.gaps)


def _report_missing(root: Table, entries: Iterable[Entry]) -> None:
    held: set[Need] = set()
    for entry in entries:
        held |= {(entry.dependency.name, ""), (entry.dependency.name, entry.dependency.version)}
    for name, _ in dict.fromkeys(need for entry in entries for need in entry.needs if need not in held):
        root.report("another package needs it, but the file does not hold it: the file may be cut", name=name)


def report_absent(root: Table, entries: Iterable[Entry], names: Iterable[str], reason: str) -> None:
    """Note each of the names that no entry has as a gap."""
    for name in sorted({*names}.difference(entry.dependency.name for entry in entries)):
        root.report(reason, name=name)


def link(entries: Sequence[Entry], direct: Iterable[Need] | None) -> list[Dependency]:
    """Each entry's dependency with its shortest chain and `is_direct`, by one breadth-first walk in linear time.

    Without a root and without `direct` all stay as they are. Of what the walk does not reach, the file does not tell
    why it is there: its `is_direct` is None.
    """
    found = [entry.dependency for entry in entries]
    roots = [index for index, entry in enumerate(entries) if entry.is_root]
    if direct is None and not roots:
        return found
    holders = _index(entries)
    seen = set(roots)
    asked: set[Need] = set()
    queue: list[int] = []

    def reach(needs: Iterable[Need], chain: tuple[str, ...]) -> None:
        # Each need is looked up once, so that many entries of one name cost no more than others.
        for need in needs:
            if need in asked:
                continue
            asked.add(need)
            for index in holders.get(need, ()):
                if index not in seen:
                    seen.add(index)
                    queue.append(index)
                    found[index] = replace(found[index], chain=chain, is_direct=not chain)

    for index in roots:
        found[index] = replace(found[index], is_direct=True)
        reach(entries[index].needs, ())
    reach(direct or (), ())
    for index in queue:  # it grows while it is walked
        chain = (*found[index].chain[: _LONGEST_CHAIN - 1], found[index].name)
        reach(entries[index].needs, chain)
    for index in set(range(len(entries))) - seen:
        found[index] = replace(found[index], is_direct=None)
    return found


def _index(entries: Sequence[Entry]) -> dict[Need, list[int]]:
    holders: dict[Need, list[int]] = {}
    for index, entry in enumerate(entries):
        name, version = entry.dependency.name, entry.dependency.version
        holders.setdefault((name, ""), []).append(index)
        if version:
            holders.setdefault((name, version), []).append(index)
    return holders


def merge_duplicates(dependencies: Iterable[Dependency]) -> tuple[Dependency, ...]:
    """Each version, origin, reason and index of a package once, in the order of the first; markers are united."""
    groups: dict[tuple[str, str, Origin, str, str], list[Dependency]] = {}
    for item in dependencies:
        groups.setdefault((item.name, item.version, item.origin, item.reason, item.index), []).append(item)
    return tuple(group[0] if len(group) == 1 else _unite(group) for group in groups.values())


def _unite(group: Sequence[Dependency]) -> Dependency:
    answers = {item.is_direct for item in group}
    is_direct = True if True in answers else None if None in answers else False
    chains = sorted((item.chain for item in group if item.chain), key=len)
    return replace(
        group[0],
        chain=() if is_direct or not chains else chains[0],
        is_direct=is_direct,
        marker=any_marker(item.marker for item in group),
    )


def any_marker(markers: Iterable[str]) -> str:
    """The marker that holds when one of these does; an empty one always does."""
    distinct = dict.fromkeys(markers)
    return "" if "" in distinct else " or ".join(distinct)
