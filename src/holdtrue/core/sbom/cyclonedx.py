"""CycloneDX bills, JSON and XML (https://cyclonedx.org/specification/overview, 1.2 to 1.7), read with tolerance."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from xml.etree import ElementTree as ET

from holdtrue.core.sbom.bill import Bill, Component
from holdtrue.errors import RejectedError
from holdtrue.models.dependency import Gap

_KIND: Final = "cyclonedx"
_SUBJECT: Final = "the described component"


def read_json_bill(document: Mapping[str, object], gaps: list[Gap]) -> Bill:
    """A bill from its parsed JSON; `gaps` are what is amiss with that already, and get more."""
    metadata = _as_mapping(document.get("metadata"))
    subject = metadata.get("component")
    described = [] if subject is None else [*_walk(subject, _SUBJECT, gaps)]
    components = [*described, *_walk_all(document.get("components"), gaps)]
    children: dict[str, list[str]] = {}
    for entry in _as_list(document.get("dependencies")):
        match entry:
            case {"ref": str(reference), "dependsOn": list(names)}:
                children.setdefault(reference, []).extend(name for name in names if isinstance(name, str))
            case _:
                pass
    aggregates = [_text(_as_mapping(item).get("aggregate")) for item in _as_list(document.get("compositions"))]
    gaps += _gaps_of(aggregates)
    root = _text(_as_mapping(subject).get("bom-ref"))
    return Bill(_KIND, components, children, [root] if root else (), gaps)


def _gaps_of(aggregates: Iterable[str]) -> Iterator[Gap]:
    """What the bill says of its own completeness; that it does not know is what a bill without a word says too."""
    if any(aggregate.lower().startswith("incomplete") for aggregate in aggregates):
        yield Gap("compositions", "the bill says that it is incomplete")


def _walk_all(entries: object, gaps: list[Gap]) -> Iterator[Component]:
    for number, entry in enumerate(_listed(entries, "components", gaps), start=1):
        yield from _walk(entry, f"component {number}", gaps)


def _listed(entries: object, place: str, gaps: list[Gap]) -> list[object]:
    if entries is not None and not isinstance(entries, list):
        gaps.append(Gap(place, "is no list"))
    return _as_list(entries)


def _walk(top: object, place: str, gaps: list[Gap]) -> Iterator[Component]:
    """The component and those nested in it, without recursion: the nesting is as deep as the file wants."""
    waiting = [top]
    while waiting:
        entry = waiting.pop()
        if not isinstance(entry, dict):
            gaps.append(Gap(place, "is no component"))
            continue
        yield Component(
            reference=_text(entry.get("bom-ref")),
            name=_text(entry.get("name")),
            version=_text(entry.get("version")),
            purl=_text(entry.get("purl")),
            place=place,
            is_subject=entry is top and place == _SUBJECT,
        )
        waiting.extend(reversed(_listed(entry.get("components"), f"components of {place}", gaps)))


def read_xml_bill(text: str, label: str) -> Bill:
    """A bill from its XML.

    Raises:
        RejectedError: it is no XML, no CycloneDX, or declares a document type: entities can blow up.
    """
    root = _parse_xml(text, label)
    if _local(root) != "bom" or "cyclonedx" not in root.tag:
        raise RejectedError("XML, but not a CycloneDX bill", where=label, next_step="give a CycloneDX or SPDX file")
    gaps: list[Gap] = []
    subjects = _inner(root, "metadata", "component")
    components = [item for subject in subjects for item in _walk_xml(subject, _SUBJECT, gaps)]
    for number, entry in enumerate(_inner(root, "components", "component"), start=1):
        components += _walk_xml(entry, f"component {number}", gaps)
    children: dict[str, list[str]] = {}
    for entry in _inner(root, "dependencies", "dependency"):
        needed = [item.get("ref", "") for item in _children(entry, "dependency")]
        children.setdefault(entry.get("ref", ""), []).extend(needed)
    compositions = _inner(root, "compositions", "composition")
    gaps += _gaps_of((item.text or "").strip() for entry in compositions for item in _children(entry, "aggregate"))
    references = [reference for subject in subjects if (reference := subject.get("bom-ref", ""))]
    return Bill(_KIND, components, children, references, gaps)


class _NoDoctype(ET.TreeBuilder):
    """Refuses a document type before any entity of it can be used."""

    def doctype(self, _name: str, _public: str | None, _system: str | None) -> None:
        raise ValueError("a document type is declared")


def _parse_xml(text: str, label: str) -> ET.Element:
    try:
        # Safe against entities by `_NoDoctype`; expat itself never fetches anything.
        return ET.fromstring(text, ET.XMLParser(target=_NoDoctype()))  # noqa: S314
    except (ET.ParseError, ValueError) as error:
        problem = "not well-formed" if isinstance(error, ET.ParseError) else str(error)
        raise RejectedError(
            f"the XML cannot be read: {problem}", where=label, next_step="give a CycloneDX or SPDX file"
        ) from None


def _walk_xml(top: ET.Element, place: str, gaps: list[Gap]) -> Iterator[Component]:
    waiting = [top]
    while waiting:
        entry = waiting.pop()
        yield Component(
            reference=entry.get("bom-ref", ""),
            name=_content(entry, "name", place, gaps),
            version=_content(entry, "version", place, gaps),
            purl=_content(entry, "purl", place, gaps),
            place=place,
            is_subject=entry is top and place == _SUBJECT,
        )
        waiting.extend(reversed(_inner(entry, "components", "component")))


def _content(element: ET.Element, name: str, place: str, gaps: list[Gap]) -> str:
    found = [(child.text or "").strip() for child in _children(element, name)]
    if len(found) > 1:
        gaps.append(Gap(place, f"has more than one {name}, and only the first is read"))
    return next(iter(found), "")


def _inner(element: ET.Element, container: str, name: str) -> list[ET.Element]:
    """The elements in all containers of that name: one that stands twice must hide nothing."""
    return [inner for outer in _children(element, container) for inner in _children(outer, name)]


def _children(element: ET.Element, name: str) -> Iterator[ET.Element]:
    return (entry for entry in element if _local(entry) == name)


def _local(element: ET.Element) -> str:
    """The tag without its namespace, which holds the version of the specification."""
    return element.tag.rpartition("}")[2]


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _as_mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
