"""CycloneDX bills, JSON and XML (https://cyclonedx.org/specification/overview, 1.2 to 1.7), read with tolerance."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from xml.etree import ElementTree as ET

from holdtrue.core.sbom.bill import Bill, Component
from holdtrue.errors import RejectedError
from holdtrue.models.dependency import Gap

_KIND: Final = "cyclonedx"


def read_json_bill(document: Mapping[str, object]) -> Bill:
    """A bill from its parsed JSON."""
    gaps: list[Gap] = []
    metadata = _as_mapping(document.get("metadata"))
    subject = metadata.get("component")
    described = [] if subject is None else [*_walk(subject, "the described component", gaps)]
    components = [*described, *_walk_all(document.get("components"), gaps)]
    children: dict[str, list[str]] = {}
    for entry in _as_list(document.get("dependencies")):
        match entry:
            case {"ref": str(reference), "dependsOn": list(names)}:
                children.setdefault(reference, []).extend(name for name in names if isinstance(name, str))
            case _:
                pass
    root = _text(_as_mapping(subject).get("bom-ref"))
    return Bill(_KIND, components, children, [root] if root else (), gaps)


def _walk_all(entries: object, gaps: list[Gap]) -> Iterator[Component]:
    if entries is not None and not isinstance(entries, list):
        gaps.append(Gap("components", "is no list"))
    for number, entry in enumerate(_as_list(entries), start=1):
        yield from _walk(entry, f"component {number}", gaps)


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
        )
        waiting.extend(reversed(_as_list(entry.get("components"))))


def read_xml_bill(text: str, label: str) -> Bill:
    """A bill from its XML.

    Raises:
        RejectedError: it is no XML, no CycloneDX, or declares a document type: entities can blow up.
    """
    root = _parse_xml(text, label)
    if _local(root) != "bom" or "cyclonedx" not in root.tag:
        raise RejectedError("XML, but not a CycloneDX bill", where=label, next_step="give a CycloneDX or SPDX file")
    subject = _find(_find(root, "metadata"), "component")
    components = [*_walk_xml(subject, "the described component")]
    for number, entry in enumerate(_children(_find(root, "components"), "component"), start=1):
        components += _walk_xml(entry, f"component {number}")
    children: dict[str, list[str]] = {}
    for entry in _children(_find(root, "dependencies"), "dependency"):
        needed = [item.get("ref", "") for item in _children(entry, "dependency")]
        children.setdefault(entry.get("ref", ""), []).extend(needed)
    reference = subject.get("bom-ref", "") if subject is not None else ""
    return Bill(_KIND, components, children, [reference] if reference else ())


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


def _walk_xml(top: ET.Element | None, place: str) -> Iterator[Component]:
    waiting = [] if top is None else [top]
    while waiting:
        entry = waiting.pop()
        yield Component(
            reference=entry.get("bom-ref", ""),
            name=_content(entry, "name"),
            version=_content(entry, "version"),
            purl=_content(entry, "purl"),
            place=place,
        )
        waiting.extend(reversed([*_children(_find(entry, "components"), "component")]))


def _content(element: ET.Element, name: str) -> str:
    found = _find(element, name)
    return (found.text or "").strip() if found is not None else ""


def _find(element: ET.Element | None, name: str) -> ET.Element | None:
    return next(_children(element, name), None)


def _children(element: ET.Element | None, name: str) -> Iterator[ET.Element]:
    entries: Iterable[ET.Element] = () if element is None else element
    return (entry for entry in entries if _local(entry) == name)


def _local(element: ET.Element) -> str:
    """The tag without its namespace, which holds the version of the specification."""
    return element.tag.rpartition("}")[2]


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _as_mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
