"""What the formats have in common: components with package URLs, a graph over them, and the inventory they make."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from holdtrue.core.dependency_chains import find_chains
from holdtrue.core.lockfiles.inventories import merge_duplicates
from holdtrue.core.lockfiles.naming import read_version
from holdtrue.core.sbom.purl import parse_pypi_purl, read_purl_type
from holdtrue.models.dependency import Dependency, Gap, Inventory

_NO_VERSIONS: Final = frozenset({"NOASSERTION", "NONE"})
"""What SPDX writes where it knows nothing."""


@dataclass(frozen=True, slots=True)
class Component:
    """One component or package of a bill.

    Attributes:
        reference: By which the graph names it; empty when it cannot.
        name: As it stands there.
        version: As it stands there; empty when it has none.
        purl: Its package URL; empty when it has none.
        place: Where in the bill.
        is_subject: Whether it is the one thing that the bill describes, and not a part of it.
    """

    reference: str
    name: str
    version: str
    purl: str
    place: str
    is_subject: bool = False


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill as its format tells it: `children` and `roots` are references; without roots it tells no chains."""

    kind: str
    components: Sequence[Component]
    children: Mapping[str, Iterable[str]] = field(default_factory=dict)
    roots: Sequence[str] = ()
    gaps: Sequence[Gap] = ()


def build_inventory(bill: Bill, label: str) -> Inventory:
    """The PyPI packages of the bill; what it holds besides is counted, and what cannot be read is named.

    The subject of the bill may have no package URL, as an application has none: the packages are its parts.
    """
    roots = frozenset(bill.roots)
    names = {item.reference: _display_name(item) for item in bill.components if item.reference}
    chains = find_chains(bill.children, bill.roots)
    dependencies: list[Dependency] = []
    gaps = [*bill.gaps]
    others = unnamed = 0
    for component in bill.components:
        kind = read_purl_type(component.purl)
        if not component.purl:
            unnamed += not component.is_subject
        elif kind not in {"", "pypi"}:
            others += 1
        elif (dependency := _read_component(component)) is None:
            gaps.append(Gap(component.name or component.place, f"its package URL cannot be read ({component.place})"))
        else:
            chain, is_direct = _place_in_graph(component, chains, roots, names)
            dependencies.append(replace(dependency, chain=chain, is_direct=is_direct))
    if others:
        gaps.append(Gap(f"{_count(others)} of other ecosystems", "only PyPI packages are audited"))
    if unnamed:
        gaps.append(Gap(f"{_count(unnamed)} without a package URL", "nothing tells which packages they are"))
    return Inventory(label, bill.kind, merge_duplicates(dependencies), tuple(dict.fromkeys(gaps)))


def _count(components: int) -> str:
    return "1 component" if components == 1 else f"{components} components"


def _read_component(component: Component) -> Dependency | None:
    package = parse_pypi_purl(component.purl)
    if package is None:
        return None
    stated = package.version or component.version
    version, doubt = read_version("" if stated in _NO_VERSIONS else stated, missing="has no version")
    reason = package.reason or doubt
    return Dependency(package.name, version, package.origin, component.place, reason=reason, index=package.index)


def _place_in_graph(
    component: Component, chains: Mapping[str, tuple[str, ...]], roots: frozenset[str], names: Mapping[str, str]
) -> tuple[tuple[str, ...], bool | None]:
    """The chain without its root, which is the thing that the bill describes; direct is what the root itself needs."""
    chain = chains.get(component.reference) if component.reference else None
    if not chain or component.reference in roots:
        return (), None
    return tuple(names.get(reference, reference) for reference in chain[1:]), len(chain) == 1


def _display_name(component: Component) -> str:
    package = parse_pypi_purl(component.purl) if read_purl_type(component.purl) == "pypi" else None
    return package.name if package else component.name
