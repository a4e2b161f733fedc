"""CycloneDX: valid by the schema that its library brings along, complete, and the same for the same input."""

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from holdtrue.models.audit import AuditReport, Occurrence
from holdtrue.models.dependency import Dependency, Inventory, Origin
from tests.hostile_texts import HOSTILE_TEXTS
from tests.unit.core.audit_output_samples import (
    CRITICAL,
    INCOMPLETE,
    INVENTORIES,
    MINOR,
    ORDINARY,
    POSSIBLE,
    SERIAL_NUMBER,
    SOUND,
    WAIVED,
    WAIVER,
    cyclonedx_of,
    hostile,
    hostile_inventories,
    many,
    report,
)

Json = dict[str, Any]
VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)


def sbom_of(source: AuditReport, inventories: tuple[Inventory, ...] = INVENTORIES) -> Json:
    text = cyclonedx_of(source, inventories)
    assert VALIDATOR.validate_str(text) is None
    document: Json = json.loads(text)
    return document


def properties(part: Json, name: str) -> list[str]:
    return [item["value"] for item in part.get("properties", []) if item["name"] == f"holdtrue:{name}"]


@pytest.mark.parametrize("source", [ORDINARY, SOUND, INCOMPLETE, many(50)])
@pytest.mark.parametrize("inventories", [INVENTORIES, ()])
def test_every_report_is_a_valid_sbom(source: AuditReport, inventories: tuple[Inventory, ...]) -> None:
    document = sbom_of(source, inventories)

    assert document["specVersion"] == "1.6"
    assert document["serialNumber"] == f"urn:uuid:{SERIAL_NUMBER}"


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=lambda text: ascii(text[:20]))
def test_hostile_text_leaves_it_valid(text: str) -> None:
    assert len(sbom_of(hostile(text), hostile_inventories(text))["components"]) == len(Origin)


def test_the_control_for_validity_refuses_a_broken_one() -> None:
    document = json.loads(cyclonedx_of(ORDINARY))
    document["vulnerabilities"][0]["ratings"][0]["severity"] = "terrible"

    assert VALIDATOR.validate_str(json.dumps(document)) is not None


def test_every_package_is_a_component_once_with_all_its_places() -> None:
    components = {item["name"]: item for item in sbom_of(ORDINARY)["components"]}

    assert set(components) == {"demo-web", "waived", "minor", "sound", "demo-fork", "shop-tools"}
    web = components["demo-web"]
    assert web["purl"] == "pkg:pypi/demo-web@1.0"
    assert {(item["location"], item["additionalContext"]) for item in web["evidence"]["occurrences"]} == {
        ("services/shop/requirements.txt", "line 3"),
        ("services/shop/uv.lock", "line 41"),
        ("host-1:/usr/bin/python3", "/usr/lib/python3/dist-packages"),
    }


def test_only_what_its_version_identifies_has_a_package_url() -> None:
    dependencies = tuple(Dependency("demo", "1.0", origin) for origin in Origin)

    components = sbom_of(SOUND, (Inventory("all", "installed", dependencies),))["components"]

    assert {properties(item, "origin")[0]: "purl" in item for item in components} == {
        origin: origin is Origin.INDEX for origin in Origin
    }


def test_a_package_that_could_not_be_judged_says_why() -> None:
    components = {item["name"]: item for item in sbom_of(ORDINARY)["components"]}

    assert properties(components["shop-tools"], "not-audited") == ["no public source knows it"]
    assert properties(components["sound"], "not-audited") == []


def test_the_metadata_tell_what_the_audit_concluded_and_missed() -> None:
    metadata = sbom_of(ORDINARY)["metadata"]

    assert properties(metadata, "verdict") == ["vulnerable"]
    assert "pypi: refused the connection" in properties(metadata, "not-audited")
    assert metadata["tools"]["components"] == [{"name": "holdtrue", "type": "application", "version": "1.0"}]


def test_a_vulnerability_has_its_ratings_names_fixes_and_affected_component() -> None:
    document = sbom_of(report(CRITICAL))

    (item,) = document["vulnerabilities"]
    (rating,) = item["ratings"]
    assert (rating["score"], rating["severity"], rating["method"]) == (9.8, "critical", "CVSSv31")
    assert rating["vector"] == "AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
    assert item["source"] == {"name": "PyPA Advisory Database"}
    assert [(alias["id"], alias["source"]["name"]) for alias in item["references"]] == [
        ("CVE-2026-0001", "NVD"),
        ("GHSA-aaaa-bbbb-cccc", "GitHub Advisory Database"),
    ]
    assert item["recommendation"] == "Upgrade demo-web to 1.1, 2.0"
    assert item["advisories"] == [{"url": "https://advisories.example/PYSEC-2026-1"}]
    references = {part["bom-ref"]: part["name"] for part in document["components"]}
    (target,) = item["affects"]
    assert references[target["ref"]] == "demo-web"
    assert target["versions"] == [{"version": "1.0", "status": "affected"}]
    assert "analysis" not in item, "nobody has analysed it"


@pytest.mark.parametrize(
    ("vector", "method"),
    [
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", "CVSSv4"),
        ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "CVSSv3"),
        ("AV:N/AC:L/Au:N/C:P/I:P/A:P", "CVSSv2"),
        ("nonsense", "other"),
    ],
)
def test_the_method_of_a_rating_is_that_of_its_vector(vector: str, method: str) -> None:
    (item,) = sbom_of(report(CRITICAL.model_copy(update={"vector": vector})))["vulnerabilities"]

    assert item["ratings"][0]["method"] == method


def test_a_possible_finding_affects_its_component_in_an_unknown_way() -> None:
    (item,) = sbom_of(report(POSSIBLE))["vulnerabilities"]

    (target,) = item["affects"]
    assert target["versions"] == [{"version": "0.3", "status": "unknown"}]
    assert target["ref"].startswith("vcs:")
    assert properties(item, "certainty") == ["possible"]
    assert "installed from a repository" in properties(item, "remarks")[0]
    assert item["ratings"] == [{"severity": "unknown"}]


def test_a_waiver_accepts_the_risk_and_does_not_deny_it() -> None:
    (item,) = sbom_of(report(WAIVED))["vulnerabilities"]

    assert item["analysis"]["state"] == "exploitable"
    assert item["analysis"]["response"] == ["will_not_fix"]
    assert "waived by platform team until 2026-12-31: not reachable" in item["analysis"]["detail"]


@pytest.mark.parametrize(("said", "state"), [("not_affected", "not_affected"), ("fixed", "resolved")])
def test_a_vex_statement_about_the_whole_finding_is_repeated(said: str, state: str) -> None:
    waiver = WAIVER.model_copy(update={"vex": said})
    whole = WAIVED.model_copy(update={"waiver": waiver})
    elsewhere = WAIVED.model_copy(update={"waiver": waiver.model_copy(update={"inventory": "elsewhere"})})

    analyses = [item["analysis"] for item in sbom_of(report(whole))["vulnerabilities"]]

    assert [item["state"] for item in analyses] == [state]
    assert "not reachable from outside" in analyses[0]["detail"]
    (other,) = sbom_of(report(elsewhere))["vulnerabilities"]
    assert other["analysis"]["state"] == "exploitable"


def test_what_only_a_rule_lets_pass_or_is_only_possible_is_still_in_triage() -> None:
    possible = POSSIBLE.model_copy(update={"tolerated": "waiver", "waiver": WAIVED.waiver})

    analyses = [item["analysis"] for item in sbom_of(report(possible, MINOR))["vulnerabilities"]]

    assert [item["state"] for item in analyses] == ["in_triage", "in_triage"]
    assert analyses[1]["detail"] == "severity below medium"


def test_a_package_under_two_origins_is_two_components_and_one_vulnerability() -> None:
    occurrences = (Occurrence(inventory="a.lock"), Occurrence(inventory="b.lock", origin=Origin.VCS))

    document = sbom_of(report(CRITICAL.model_copy(update={"occurrences": occurrences})), ())

    (item,) = document["vulnerabilities"]
    assert {target["ref"] for target in item["affects"]} == {part["bom-ref"] for part in document["components"]}
    assert len(document["components"]) == 2


def test_equal_input_gives_an_equal_document_whatever_its_order() -> None:
    backwards = ORDINARY.model_copy(update={"findings": ORDINARY.findings[::-1]})

    assert cyclonedx_of(ORDINARY) == cyclonedx_of(ORDINARY)
    assert sbom_of(backwards) == sbom_of(ORDINARY)


def test_a_component_of_many_places_lists_some_and_counts_all() -> None:
    inventories = tuple(Inventory(f"{index}.txt", "requirements", (Dependency("demo", "1.0"),)) for index in range(300))

    (component,) = sbom_of(SOUND, inventories)["components"]

    assert len(component["evidence"]["occurrences"]) == 100
    assert properties(component, "places") == ["300"]


def test_names_that_look_like_one_reference_stay_apart() -> None:
    dependencies = (Dependency("a@b", "c"), Dependency("a", "b@c"), Dependency("a", ""), Dependency("x" * 999, "1"))

    components = sbom_of(SOUND, (Inventory("odd", "requirements", dependencies),))["components"]

    assert len({item["bom-ref"] for item in components}) == 4
    assert max(len(item["bom-ref"]) for item in components) <= 400


def test_a_finding_without_version_or_link_is_still_a_vulnerability() -> None:
    bare = CRITICAL.model_copy(update={"version": "", "link": "javascript:x", "summary": "", "published": None})

    (item,) = sbom_of(report(bare), ())["vulnerabilities"]

    assert item["affects"] == [{"ref": "index:demo-web@"}]
    assert "advisories" not in item
