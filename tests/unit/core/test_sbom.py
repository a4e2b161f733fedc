"""Bills of materials: the PyPI packages of each format, with their way in, and everything else as a gap."""

import json
import time
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.core.sbom import parse_sbom
from holdtrue.errors import RejectedError
from holdtrue.models.dependency import Dependency, Inventory, Origin

_GRAPH = {"app": ["web", "apt"], "web": ["leaf"], "leaf": ["web"]}


def _cyclonedx(components: object, **more: object) -> str:
    return json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components, **more})


def _component(purl: str | None, name: str = "demo", **more: object) -> dict[str, object]:
    return {"type": "library", "name": name, **({} if purl is None else {"purl": purl}), **more}


def _by_name(inventory: Inventory) -> Mapping[str, Dependency]:
    return {item.name: item for item in inventory.dependencies}


def _json_bill() -> str:
    components = [
        _component("pkg:pypi/Web_App@2.0.RC1", "Web", **{"bom-ref": "web"}),
        _component("pkg:deb/debian/apt@2.6", "apt", **{"bom-ref": "apt"}),
        _component("pkg:pypi/leaf@1.0", "leaf", **{"bom-ref": "leaf"}),
        _component("pkg:pypi/loose@3", "loose"),
        _component(None, "a file"),
    ]
    dependencies = [{"ref": ref, "dependsOn": needs} for ref, needs in _GRAPH.items()]
    subject = {"type": "application", "name": "app", "bom-ref": "app"}
    return _cyclonedx(components, metadata={"component": subject}, dependencies=dependencies)


def _xml_bill() -> str:
    graph = "".join(
        f'<dependency ref="{ref}">{"".join(f"<dependency ref={name!r}/>" for name in needs)}</dependency>'
        for ref, needs in _GRAPH.items()
    )
    return f"""\ufeff<?xml version="1.0" encoding="UTF-16"?>
<bom xmlns="http://cyclonedx.org/schema/bom/1.4" version="1"><metadata>
<component type="application" bom-ref="app"><name>app</name></component></metadata><components>
<component type="library" bom-ref="web"><name>Web</name><version>0</version><purl>pkg:pypi/Web_App@2.0.RC1</purl>
<components><component type="library" bom-ref="leaf"><name>leaf</name><version>1.0</version>
<purl> pkg:pypi/leaf </purl></component></components></component>
<component type="library" bom-ref="apt"><name>apt</name><purl>pkg:deb/debian/apt@2.6</purl></component>
<component type="library"><name>loose</name><purl>pkg:pypi/loose@3</purl></component>
<component type="file"><name>a file</name></component></components><dependencies>{graph}</dependencies></bom>"""


def _package(name: str, purl: str, version: str = "") -> dict[str, object]:
    references = [
        {"referenceCategory": "SECURITY", "referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:a:x"},
        {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl},
    ]
    return {"SPDXID": f"SPDXRef-{name}", "name": name, "versionInfo": version, "externalRefs": references}


def _spdx_bill() -> str:
    def edge(first: str, kind: str, second: str) -> dict[str, str]:
        return {"spdxElementId": first, "relationshipType": kind, "relatedSpdxElement": second}

    packages = [
        {"SPDXID": "SPDXRef-app", "name": "app"},
        _package("web", "pkg:pypi/Web_App@2.0.RC1"),
        _package("leaf", "pkg:pypi/leaf", "1.0"),
        _package("apt", "pkg:deb/debian/apt@2.6"),
        _package("loose", "pkg:pypi/loose@3"),
    ]
    relationships = [
        edge("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-app"),
        edge("SPDXRef-app", "CONTAINS", "SPDXRef-web"),
        edge("SPDXRef-app", "CONTAINS", "SPDXRef-leaf"),
        edge("SPDXRef-leaf", "DEPENDENCY_OF", "SPDXRef-web"),
        edge("SPDXRef-app", "GENERATES", "SPDXRef-loose"),
    ]
    return json.dumps({"spdxVersion": "SPDX-2.3", "packages": packages, "relationships": relationships})


_TAG_VALUE = """SPDXVersion: SPDX-2.3
SPDXID: SPDXRef-DOCUMENT
DocumentName: app
# a comment: with colon
PackageName: app
SPDXID: SPDXRef-app
PackageComment: <text>several lines
PackageName: not one
</text>
PackageName: Web
SPDXID: SPDXRef-web
ExternalRef: PACKAGE-MANAGER purl pkg:pypi/Web_App@2.0.RC1
FileName: ./x
SPDXID: SPDXRef-file
PackageName: leaf
SPDXID: SPDXRef-leaf
PackageVersion: 1.0
ExternalRef: PACKAGE-MANAGER purl pkg:pypi/leaf
PackageName: apt
ExternalRef: SECURITY cpe23Type cpe:2.3:a:x
ExternalRef: PACKAGE_MANAGER http://spdx.org/rdf/references/purl pkg:deb/debian/apt@2.6
PackageName: loose
SPDXID: SPDXRef-loose
ExternalRef: PACKAGE-MANAGER purl pkg:pypi/loose@3
Relationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-app
Relationship: SPDXRef-app DEPENDS_ON SPDXRef-web
Relationship: SPDXRef-web DEPENDS_ON SPDXRef-leaf
Relationship: SPDXRef-leaf
"""


@pytest.mark.parametrize(
    "text", [_json_bill(), _xml_bill(), _spdx_bill(), _TAG_VALUE], ids=["json", "xml", "spdx", "tv"]
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_the_pypi_packages_of_every_format(text: str, line_end: str) -> None:
    inventory = parse_sbom(text.replace("\n", line_end), "the bill")

    assert inventory.label == "the bill"
    assert {name: (item.version, item.chain, item.is_direct) for name, item in _by_name(inventory).items()} == {
        "web-app": ("2.0rc1", (), True),
        "leaf": ("1.0", ("web-app",), False),
        "loose": ("3", (), None),
    }
    assert all(item.origin is Origin.INDEX and not item.reason and item.place for item in inventory.dependencies)
    others = [gap.name for gap in inventory.gaps if "other ecosystems" in gap.name]
    assert others == ["1 component of other ecosystems"]


def test_components_in_components_are_found_however_deep() -> None:
    nested: dict[str, object] = _component("pkg:pypi/leaf@1.0")
    for _ in range(200):
        nested = _component("pkg:npm/x@1", components=[nested])

    inventory = parse_sbom(_cyclonedx([nested]), "bill")

    assert [item.name for item in inventory.dependencies] == ["leaf"]
    assert [gap.name for gap in inventory.gaps] == ["200 components of other ecosystems"]


def test_the_described_component_is_judged_when_it_is_of_pypi() -> None:
    subject = _component("pkg:pypi/demo@1.0", **{"bom-ref": "a"})
    inventory = parse_sbom(_cyclonedx([], metadata={"component": subject}), "bill")

    (found,) = inventory.dependencies
    assert (found.version, found.is_direct) == ("1.0", None)


@pytest.mark.parametrize(
    "text",
    [
        _cyclonedx([_component("pkg:pypi/demo@1.0")], metadata={"component": _component(None, "app")}),
        '<bom xmlns="http://cyclonedx.org/schema/bom/1.4"><metadata><component><name>app</name></component></metadata>'
        "<components><component><purl>pkg:pypi/demo@1.0</purl></component></components></bom>",
        json.dumps({
            "spdxVersion": "SPDX-2.3",
            "packages": [{"SPDXID": "a", "name": "app"}, _package("demo", "pkg:pypi/demo@1.0")],
            "documentDescribes": ["a"],
            "relationships": [
                {"spdxElementId": "x", "relationshipType": "DESCRIBES", "relatedSpdxElement": "a"},
            ],
        }),
    ],
    ids=["json", "xml", "spdx"],
)  # fmt: skip
def test_the_application_that_a_bill_describes_needs_no_package_url(text: str) -> None:
    inventory = parse_sbom(text, "bill")

    assert [item.name for item in inventory.dependencies] == ["demo"]
    assert inventory.gaps == ()


@pytest.mark.parametrize(
    "text",
    [
        _cyclonedx([_component("pkg:pypi/demo@1.0")], metadata={"component": {"components": [_component(None)]}}),
        _cyclonedx([_component("pkg:pypi/demo@1.0"), _component(None)], metadata={"component": {"name": "app"}}),
        json.dumps({
            "spdxVersion": "SPDX-2.3",
            "packages": [{"SPDXID": "a"}, _package("demo", "pkg:pypi/demo@1.0")],
            "documentDescribes": ["a", "SPDXRef-demo"],
        }),
    ],
    ids=["in the application", "beside it", "one of several"],
)  # fmt: skip
def test_a_part_without_a_package_url_is_a_gap(text: str) -> None:
    assert [gap.name for gap in parse_sbom(text, "bill").gaps] == ["1 component without a package URL"]


@pytest.mark.parametrize(
    "text",
    [
        '{"bomFormat": "CycloneDX", "components": [{"purl": "pkg:pypi/lost@1"}], "components": []}',
        '{"bomFormat": "CycloneDX", "components": [{"purl": "pkg:pypi/lost@1", "purl": "pkg:pypi/a@1"}]}',
        '{"spdxVersion": "SPDX-2.3", "packages": [{"name": "lost"}], "packages": []}',
        _cyclonedx([_component("pkg:pypi/a@1", components=_component("pkg:pypi/lost@1"))]),
        '<bom xmlns="http://cyclonedx.org/schema/bom/1.4"><components><component><purl>pkg:pypi/a@1</purl>'
        "<purl>pkg:pypi/lost@1</purl></component></components></bom>",
    ],
)
def test_what_stands_twice_or_in_another_shape_is_a_gap(text: str) -> None:
    assert parse_sbom(text, "bill").gaps


def test_every_list_of_components_in_xml_is_read() -> None:
    def listed(name: str, inner: str = "") -> str:
        return f"<components><component><purl>pkg:pypi/{name}@1</purl>{inner}</component></components>"

    text = listed("a", listed("b") + listed("c")) + listed("d")
    inventory = parse_sbom(f'<bom xmlns="http://cyclonedx.org/schema/bom/1.4">{text}</bom>', "bill")

    assert [item.name for item in inventory.dependencies] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("aggregate", "is_gap"),
    [("complete", False), ("incomplete", True), ("incomplete_first_party_only", True), ("unknown", False)],
)
def test_a_bill_that_says_that_it_is_incomplete_is(aggregate: str, is_gap: bool) -> None:  # noqa: FBT001 - a table
    in_json = _cyclonedx(
        [_component("pkg:pypi/a@1")], compositions=[{"aggregate": "complete"}, {"aggregate": aggregate}]
    )
    in_xml = f"""<bom xmlns="http://cyclonedx.org/schema/bom/1.4"><components><component><purl>pkg:pypi/a@1</purl></component>
</components><compositions><composition><aggregate>{aggregate}</aggregate></composition></compositions></bom>"""

    for text in (in_json, in_xml):
        assert bool(parse_sbom(text, "bill").gaps) is is_gap


def test_without_a_graph_nothing_is_direct_or_transitive() -> None:
    inventory = parse_sbom(_cyclonedx([_component("pkg:pypi/demo@1.0", **{"bom-ref": "a"})]), "bill")

    assert [(item.chain, item.is_direct) for item in inventory.dependencies] == [((), None)]


def test_a_package_that_is_listed_twice_counts_once() -> None:
    inventory = parse_sbom(_cyclonedx([_component("pkg:pypi/demo@1.0"), _component("pkg:pypi/Demo@1.0.0")] * 2), "bill")

    assert [item.version for item in inventory.dependencies] == ["1.0", "1.0.0"]


@pytest.mark.parametrize(
    ("purl", "version", "origin"),
    [
        ("pkg:pypi/demo@1.0", "1.0", Origin.INDEX),
        ("pkg:PyPI/De.Mo@1.0?file_name=x.whl", "1.0", Origin.INDEX),
        ("pkg://pypi/demo@1.0#sub/path", "1.0", Origin.INDEX),
        ("pkg:pypi/demo@1.0%2Bcu118", "1.0+cu118", Origin.INDEX),
        ("pkg:pypi/demo@1.0+cu118", "1.0+cu118", Origin.INDEX),
        ("pkg:pypi/demo@1%211.0", "1!1.0", Origin.INDEX),
        ("pkg:pypi/demo@1.0?repository_url=https%3A%2F%2Fmirror.example", "1.0", Origin.INDEX),
        ("pkg:pypi/demo@1.0?vcs_url=git%2Bhttps%3A%2F%2Fu%3As3cr3t%40h.example", "1.0", Origin.VCS),
        ("pkg:pypi/demo@1.0?download_url=https://u:s3cr3t@h.example/x.whl", "1.0", Origin.URL),
        ("pkg:pypi/demo@1.0?download_url=file:///s3cr3t/x.whl", "1.0", Origin.LOCAL),
        ("pkg:pypi/demo?vcs_url=git%2Bhttps%3A%2F%2Fs3cr3t", "", Origin.VCS),
    ],
)
def test_package_urls(purl: str, version: str, origin: Origin) -> None:
    inventory = parse_sbom(_cyclonedx([_component(purl)]), "bill")

    (found,) = inventory.dependencies
    assert (found.version, found.origin) == (version, origin)
    assert found.name in {"demo", "de-mo"}
    assert bool(found.reason) is (origin is not Origin.INDEX)
    assert "s3cr3t" not in repr(inventory)


@pytest.mark.parametrize("version", ["", "NOASSERTION", "latest", "9" * 5_000])
def test_a_version_that_is_none_has_a_reason(version: str) -> None:
    (found,) = parse_sbom(_cyclonedx([_component("pkg:pypi/demo", version=version)]), "bill").dependencies

    assert found.reason


@pytest.mark.parametrize(
    "component",
    [
        _component("pkg:pypi/"),
        _component("pkg:pypi/scope/demo@1.0"),
        _component("pkg:pypi/--demo@1.0"),
        _component("not a package URL"),
        None,
        "demo",
        ["demo"],
    ],
)
def test_what_cannot_be_read_is_a_gap_and_the_rest_stands(component: object) -> None:
    inventory = parse_sbom(_cyclonedx([component, _component("pkg:pypi/other@1.0")]), "bill")

    assert [item.name for item in inventory.dependencies] == ["other"]
    assert len(inventory.gaps) == 1


@pytest.mark.parametrize(
    "text",
    [
        _cyclonedx({"demo": "1.0"}),
        _cyclonedx([_component(None), {"name": 7, "version": [], "purl": {}}]),
        json.dumps({"spdxVersion": "SPDX-2.2", "packages": {"demo": 1}}),
        json.dumps({"spdxVersion": "SPDX-2.2", "packages": [7, {"externalRefs": [None, {}], "name": 3}]}),
        "SPDXVersion: SPDX-2.3\nPackageName: demo\nExternalRef: purl\nExternalRef:\n",
    ],
)
def test_other_types_than_the_formats_are_gaps(text: str) -> None:
    inventory = parse_sbom(text, "bill")

    assert inventory.dependencies == ()
    assert inventory.gaps


@pytest.mark.parametrize(
    "text",
    [
        "",
        "demo==1.0\n",
        "{",
        "[]",
        "{}",
        '{"bomFormat": "Other"}',
        '{"spdxVersion": "SPDX-3.0"}',
        '{"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"}',
        '{"a":' * 100_000,
        '{"bomFormat": "CycloneDX", "version": ' + "9" * 5_000 + "}",
        "<bom",
        "<html><body>login</body></html>",
        "<bom><components/></bom>",
    ],
)
def test_what_is_no_bill_is_refused(text: str) -> None:
    with pytest.raises(RejectedError) as caught:
        parse_sbom(text, "the bill")

    assert caught.value.where == "the bill"
    assert caught.value.next_step


def test_entities_are_refused_before_they_blow_up() -> None:
    entities = '<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + number)} "{f"&{chr(97 + number)};" * 10}">' for number in range(9)
    )
    namespace = 'xmlns="http://cyclonedx.org/schema/bom/1.4"'

    with pytest.raises(RejectedError):
        parse_sbom(f"<!DOCTYPE bom [{entities}]><bom {namespace}><components>&j;</components></bom>", "bill")
    with pytest.raises(RejectedError):
        parse_sbom(f'<!DOCTYPE bom SYSTEM "file:///etc/passwd"><bom {namespace}/>', "bill")
    # The same word where it is no declaration.
    assert parse_sbom(f"<bom {namespace}><!-- <!DOCTYPE bom> --></bom>", "bill").dependencies == ()


def test_a_hostile_graph_costs_little() -> None:
    names = [str(number) for number in range(20_000)]
    components = [_component(f"pkg:pypi/p{name}@1", **{"bom-ref": name}) for name in names]
    dependencies: Sequence[object] = [
        *({"ref": name, "dependsOn": [str(int(name) + 1), "0"]} for name in names),
        {"ref": 7, "dependsOn": "x"},
        None,
        {"ref": "0", "dependsOn": [None, {}, "no such"]},
    ]
    subject = {"bom-ref": "0", "name": "app"}

    inventory = parse_sbom(_cyclonedx(components, metadata={"component": subject}, dependencies=dependencies), "bill")

    assert len(inventory.dependencies) == 20_000
    assert _by_name(inventory)["p2"].chain == ("p1",)


def test_as_many_roots_as_packages_cost_little() -> None:
    names = [f"p{number}" for number in range(10_000)]
    document = {
        "spdxVersion": "SPDX-2.3",
        "packages": [_package(name, f"pkg:pypi/{name}@1.0") for name in names],
        "relationships": [
            {"spdxElementId": "root 0", "relationshipType": "DEPENDS_ON", "relatedSpdxElement": f"SPDXRef-{name}"}
            for name in names
        ],
        "documentDescribes": [f"root {number}" for number in range(100_000)],
    }
    text = json.dumps(document)
    started_at = time.process_time()

    inventory = parse_sbom(text, "bill")

    assert len(inventory.dependencies) == 10_000
    assert all(item.is_direct for item in inventory.dependencies)
    # A look through all the roots for each package would take more than 10.
    assert time.process_time() - started_at < 5


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("pkg:pypi/demo@1.0"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["purl", "name", "version", "components", "ref", "dependsOn", "bom-ref", "externalRefs"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=150)
@given(components=_JSON, metadata=_JSON, dependencies=_JSON)
def test_any_json_in_the_frame_of_a_bill_is_read(components: object, metadata: object, dependencies: object) -> None:
    parse_sbom(_cyclonedx(components, metadata=metadata, dependencies=dependencies), "bill")
    document = {"spdxVersion": "SPDX-2.3", "packages": components, "relationships": dependencies}
    parse_sbom(json.dumps({**document, "documentDescribes": metadata}), "bill")


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=100))
def test_any_text_is_refused_or_read(text: str) -> None:
    for beginning in ("", "<", "{", "SPDXVersion: SPDX-2.3\n"):
        try:
            parse_sbom(beginning + text, "bill")
        except RejectedError:
            continue
