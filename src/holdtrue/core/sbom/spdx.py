"""SPDX 2 documents, JSON and tag-value (https://spdx.github.io/spdx-spec/v2.3/), read with tolerance."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from holdtrue.core.sbom.bill import Bill, Component
from holdtrue.models.dependency import Gap

_KIND: Final = "spdx"
_DOCUMENT: Final = "SPDXRef-DOCUMENT"

Relationship = tuple[str, str, str]
"""Element, type, related element."""


def read_json_document(document: Mapping[str, object], gaps: list[Gap]) -> Bill:
    """A bill from parsed JSON; `gaps` are what is amiss with that already, and get more."""
    components: list[Component] = []
    packages = document.get("packages")
    if packages is not None and not isinstance(packages, list):
        gaps.append(Gap("packages", "is no list"))
    for number, entry in enumerate(_as_list(packages), start=1):
        place = f"package {number}"
        if not isinstance(entry, dict):
            gaps.append(Gap(place, "is no package"))
            continue
        components.append(
            Component(
                reference=_text(entry.get("SPDXID")),
                name=_text(entry.get("name")),
                version=_text(entry.get("versionInfo")),
                purl=_choose_purl(_json_purls(entry.get("externalRefs"))),
                place=place,
            )
        )
    described = [name for name in _as_list(document.get("documentDescribes")) if isinstance(name, str)]
    relationships = [*_json_relationships(document.get("relationships"))]
    relationships += ((_DOCUMENT, "DESCRIBES", name) for name in described)
    return _build(components, relationships, gaps)


def read_tag_value_document(text: str) -> Bill:
    """A bill from lines of `Tag: value`."""
    packages: list[dict[str, list[str]]] = []
    relationships: list[Relationship] = []
    fields: dict[str, list[str]] = {}
    for tag, value in _tags(text):
        match tag:
            case "PackageName":
                fields = {tag: [value]}
                packages.append(fields)
            case "FileName" | "SnippetSPDXID" | "LicenseID":
                fields = {}  # The next SPDXID is not a package's.
            case "Relationship":
                parts = value.split()
                if len(parts) == 3:  # noqa: PLR2004 - element, type, element
                    relationships.append((parts[0], parts[1], parts[2]))
            case _:
                fields.setdefault(tag, []).append(value)
    components = [
        Component(
            reference=_first(package, "SPDXID"),
            name=_first(package, "PackageName"),
            version=_first(package, "PackageVersion"),
            purl=_choose_purl(_tag_purls(package.get("ExternalRef", ()))),
            place=f"package {number}",
        )
        for number, package in enumerate(packages, start=1)
    ]
    return _build(components, relationships, ())


def _build(components: list[Component], relationships: Iterable[Relationship], gaps: Iterable[Gap]) -> Bill:
    """One graph of them: a package that another one depends on is not direct because an image contains it."""
    needed: dict[str, list[str]] = {}
    contained: dict[str, list[str]] = {}
    roots: list[str] = []
    for element, kind, related in relationships:
        match kind:
            case "DEPENDS_ON":
                needed.setdefault(element, []).append(related)
            case "DEPENDENCY_OF":
                needed.setdefault(related, []).append(element)
            case "CONTAINS":
                contained.setdefault(element, []).append(related)
            case "CONTAINED_BY":
                contained.setdefault(related, []).append(element)
            case "DESCRIBES":
                roots.append(related)
            case "DESCRIBED_BY":
                roots.append(element)
            case _:
                pass
    explained = {name for names in needed.values() for name in names}
    for element, names in contained.items():
        needed.setdefault(element, []).extend(name for name in names if name not in explained)
    return Bill(_KIND, _with_subject(components, roots), needed, roots, [*gaps])


def _with_subject(components: list[Component], roots: list[str]) -> list[Component]:
    """Marked is the package that the document describes, when it is one; a list of packages is no subject."""
    if len({*roots}) != 1 or not roots[0] or sum(item.reference == roots[0] for item in components) != 1:
        return components
    return [replace(item, is_subject=True) if item.reference == roots[0] else item for item in components]


def _tags(text: str) -> Iterator[tuple[str, str]]:
    """Tag and value of each line; a value in <text> may go over many lines, which hold no tags."""
    is_inside = False
    for line in text.splitlines():
        if is_inside:
            is_inside = "</text>" not in line
            continue
        tag, colon, value = line.partition(":")
        if not colon or line.startswith("#"):
            continue
        is_inside = "<text>" in value and "</text>" not in value
        yield tag.strip(), value.strip()


def _json_purls(references: object) -> Iterator[str]:
    for reference in _as_list(references):
        match reference:
            case {"referenceType": str(kind), "referenceLocator": str(purl)} if _is_purl(kind):
                yield purl
            case _:
                pass


def _tag_purls(references: Iterable[str]) -> Iterator[str]:
    for reference in references:
        match reference.split():
            case [_, kind, purl] if _is_purl(kind):
                yield purl
            case _:
                pass


def _is_purl(kind: str) -> bool:
    return kind == "purl" or kind.endswith("/purl")


def _choose_purl(purls: Iterable[str]) -> str:
    """That of PyPI where a package has several."""
    found = [purl.strip() for purl in purls]
    return next((purl for purl in found if purl.lower().startswith("pkg:pypi/")), next(iter(found), ""))


def _json_relationships(entries: object) -> Iterator[Relationship]:
    for entry in _as_list(entries):
        match entry:
            case {"spdxElementId": str(element), "relationshipType": str(kind), "relatedSpdxElement": str(related)}:
                yield element, kind, related
            case _:
                pass


def _first(fields: Mapping[str, list[str]], tag: str) -> str:
    return next(iter(fields.get(tag, ())), "")


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
