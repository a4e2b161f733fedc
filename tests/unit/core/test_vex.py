"""VEX statements: read from both formats, judged like waivers, and written as OpenVEX."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.core.audit_policy import apply_policy
from holdtrue.core.cyclonedx_vex import parse_cyclonedx_vex
from holdtrue.core.openvex import parse_openvex, to_openvex
from holdtrue.core.vex import VexProduct, VexStatement, VexStatus, read_product, to_waiver
from holdtrue.errors import RejectedError
from holdtrue.models.audit import AuditCounts, AuditPolicy, AuditReport, AuditVerdict, Finding, Occurrence, Waiver
from holdtrue.models.osv import Certainty

NOW = datetime(2030, 1, 1, tzinfo=UTC)
PURL = "pkg:pypi/demo-a@1.0"


def openvex(*statements: dict[str, Any], **more: Any) -> Any:
    return {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://openvex.dev/docs/example/1",
        "author": "Demo Security",
        "timestamp": "2030-01-01T00:00:00Z",
        "version": 1,
        "statements": list(statements),
        **more,
    }


def statement(status: str = "not_affected", product: Any = PURL, **more: Any) -> dict[str, Any]:
    reason = {"justification": "vulnerable_code_not_present"} if status == "not_affected" else {}
    return {
        "vulnerability": {"name": "CVE-2099-1", "aliases": ["GHSA-x"]},
        "products": [{"@id": product} if isinstance(product, str) else product],
        "status": status,
        **reason,
        **more,
    }


def bom(state: str = "not_affected", *, ref: str = "demo", **more: Any) -> Any:
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {
            "timestamp": "2030-01-01T00:00:00Z",
            "authors": [{"name": "Demo Security"}],
            "component": {"type": "application", "name": "app", "bom-ref": "app"},
        },
        "components": [
            {"type": "library", "name": "group", "components": [{"name": "demo-a", "bom-ref": "demo", "purl": PURL}]}
        ],
        "vulnerabilities": [
            {
                "id": "CVE-2099-1",
                "references": [{"id": "GHSA-x", "source": {"name": "GitHub"}}],
                "analysis": {"state": state, "justification": "code_not_reachable", "detail": "never called"},
                "affects": [{"ref": ref}],
                **more,
            }
        ],
    }


def made(
    status: VexStatus, *, version: str = "1.0", inventory: str = "*", days: int = 0, name: str = "CVE-2099-1"
) -> VexStatement:
    product = VexProduct("demo-a", version, inventory)
    return VexStatement((name,), product, status, "why", "Demo Security", NOW + timedelta(days=days))


# Products


@pytest.mark.parametrize(
    ("text", "product"),
    [
        ("pkg:pypi/demo-a@1.0", VexProduct("demo-a", "1.0")),
        ("pkg:pypi/Demo_A@1.0", VexProduct("demo-a", "1.0")),
        ("PKG:PyPI/demo-a@1.0", VexProduct("demo-a", "1.0")),
        ("pkg://pypi/demo-a@1.0?extension=tar.gz#sub/path", VexProduct("demo-a", "1.0")),
        ("pkg:pypi/demo-a@1.0%2Bcu118", VexProduct("demo-a", "1.0+cu118")),
        ("pkg:pypi/demo-a@1%211.0", VexProduct("demo-a", "1!1.0")),
        ("pkg:pypi/demo-a", VexProduct("demo-a")),
        ("pkg:pypi/demo-a@", VexProduct("demo-a")),
        ("demo-a", VexProduct("demo-a")),
        ("Demo.A@1.0", VexProduct("demo-a", "1.0")),
        ("pkg:npm/demo-a@1.0", None),
        ("pkg:pypi/group/demo-a@1.0", None),
        ("pkg:pypi/demo-a@<2", None),
        ("pkg:pypi/demo-a@*", None),
        ("pkg:pypi/*", None),
        ("demo-a@*", None),
        ("*", None),
        ("", None),
        ("https://demo.example/app", None),
    ],
)
def test_which_package_a_product_is(text: str, product: VexProduct | None) -> None:
    assert read_product(text) == product


# OpenVEX


def test_a_statement_is_read_with_its_names_reason_author_and_time() -> None:
    document = openvex(statement(impact_statement="patched by us", timestamp="2030-02-01T00:00:00.123456789+02:00"))

    (read,) = parse_openvex(document, where="v.json")

    assert read == VexStatement(
        names=("CVE-2099-1", "GHSA-x"),
        product=VexProduct("demo-a", "1.0"),
        status=VexStatus.NOT_AFFECTED,
        reason="vulnerable_code_not_present; patched by us",
        author="Demo Security",
        made_at=datetime(2030, 1, 31, 22, 0, 0, 123456, tzinfo=UTC),
    )


def test_a_document_of_an_older_version_is_read() -> None:
    old = statement(vulnerability="CVE-2099-1", products=[PURL, "pkg:apk/wolfi/git@2"])

    assert [(item.names, item.product.package) for item in parse_openvex(openvex(old), where="v.json")] == [
        (("CVE-2099-1",), "demo-a")
    ]


@pytest.mark.parametrize(
    "product",
    [
        {"@id": "https://demo.example/demo", "identifiers": {"purl": PURL}},
        {"@id": PURL, "hashes": {"sha-256": "00"}},
        {"identifiers": {"purl": PURL, "cpe23": "cpe:2.3:a:demo:demo:1.0"}},
    ],
)
def test_any_identifier_of_a_product_will_do(product: dict[str, Any]) -> None:
    (read,) = parse_openvex(openvex(statement(product=product)), where="v.json")

    assert read.product == VexProduct("demo-a", "1.0")


def test_a_subcomponent_is_spoken_of_only_in_the_inventory_named_like_the_product() -> None:
    product = {"@id": "app[1].txt", "subcomponents": [{"@id": PURL}, {"@id": "pkg:npm/left-pad@1"}]}
    statements = parse_openvex(openvex(statement(product=product)), where="v.json")

    def tolerated(label: str) -> bool:
        return bool(judged(finding(occurrences=(Occurrence(inventory=label),)), *statements).tolerated)

    assert tolerated("app[1].txt")
    assert not tolerated("app1.txt")
    assert not tolerated("other.txt")


@pytest.mark.parametrize("field", ["vulnerability", "products", "status"])
def test_a_statement_without_a_field_is_refused_by_index_and_field(field: str) -> None:
    broken = statement()
    del broken[field]

    with pytest.raises(RejectedError) as refused:
        parse_openvex(openvex(statement(), broken), where="v.json")

    assert f"statements[1].{field}" in refused.value.what
    assert refused.value.where == "v.json"


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        openvex(author=""),
        openvex(author=" "),
        openvex(timestamp="yesterday"),
        openvex(statement(status="fine")),
        openvex(statement(justification="")),
        openvex(statement(justification=" ", impact_statement="")),
        openvex(statement(products=[])),
        openvex(statement(vulnerability={"name": ""})),
        openvex(statement(vulnerability={"name": " "})),
    ],
)
def test_a_document_that_is_none_is_refused(document: Any) -> None:
    with pytest.raises(RejectedError):
        parse_openvex(document, where="v.json")


# CycloneDX


@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [
        ("not_affected", VexStatus.NOT_AFFECTED, "code_not_reachable; never called"),
        ("false_positive", VexStatus.NOT_AFFECTED, "false positive; code_not_reachable; never called"),
        ("resolved", VexStatus.FIXED, "code_not_reachable; never called"),
        ("resolved_with_pedigree", VexStatus.FIXED, "code_not_reachable; never called"),
        ("exploitable", VexStatus.AFFECTED, "code_not_reachable; never called"),
        ("in_triage", VexStatus.UNDER_INVESTIGATION, "code_not_reachable; never called"),
    ],
)
def test_an_analysis_is_a_statement(state: str, status: VexStatus, reason: str) -> None:
    (read,) = parse_cyclonedx_vex(bom(state), where="b.json")

    assert (read.names, read.product.package, read.status, read.reason, read.author, read.made_at) == (
        ("CVE-2099-1", "GHSA-x"), "demo-a", status, reason, "Demo Security", NOW,
    )  # fmt: skip


@pytest.mark.parametrize("ref", ["demo", PURL, "urn:cdx:0000/1#demo", "urn:cdx:0000/1#pkg%3Apypi%2Fdemo-a%401.0"])
def test_a_reference_by_name_purl_and_link(ref: str) -> None:
    (read,) = parse_cyclonedx_vex(bom(ref=ref), where="b.json")

    assert read.product == VexProduct("demo-a", "1.0")


@pytest.mark.parametrize("ref", ["app", "demo-a", "nowhere", "urn:cdx:0000/1", "pkg:npm/demo-a@1.0"])
def test_a_reference_to_something_else_is_passed_over(ref: str) -> None:
    assert parse_cyclonedx_vex(bom(ref=ref), where="b.json") == ()


def test_of_listed_versions_only_those_marked_unaffected_are_hidden() -> None:
    versions = [
        {"version": "1.0", "status": "unaffected"}, {"version": "1.1"}, {"version": "1.2", "status": "affected"},
        {"version": "1.3", "status": "unknown"}, {"range": "vers:pypi/<1", "status": "unaffected"},
    ]  # fmt: skip
    affects = [{"ref": "demo", "versions": versions}]

    hiding = parse_cyclonedx_vex(bom(affects=affects), where="b.json")
    retracting = parse_cyclonedx_vex(bom("exploitable", affects=affects), where="b.json")

    assert [item.product.version for item in hiding] == ["1.0"]
    assert [item.product.version for item in retracting] == ["*"]


@pytest.mark.parametrize("more", [{"analysis": {}}, {"analysis": {"detail": "?"}}, {"id": "", "references": []}])
def test_a_vulnerability_without_state_or_name_says_nothing(more: dict[str, Any]) -> None:
    assert parse_cyclonedx_vex(bom(**more), where="b.json") == ()


def test_a_blank_name_is_none() -> None:
    document = bom(references=[{"id": " "}])
    document["metadata"]["authors"] = [{"name": " "}]

    (read,) = parse_cyclonedx_vex(document, where="b.json")

    assert read.names == ("CVE-2099-1",)
    assert read.author.strip()
    assert judged(finding(aliases=("CVE-2099-1",)), read).tolerated


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        {"bomFormat": "SPDX"},
        bom("fine"),
        bom(affects=[{}]),
        bom(analysis={"state": "not_affected"}),
        bom(analysis={"state": "not_affected", "detail": " "}),
    ],
)
def test_a_bom_that_is_none_or_hides_without_a_reason_is_refused(document: Any) -> None:
    with pytest.raises(RejectedError):
        parse_cyclonedx_vex(document, where="b.json")


# Judged like waivers


def finding(**more: Any) -> Finding:
    return Finding.model_validate({
        "package": "demo-a", "version": "1.0", "id": "PYSEC-1", "aliases": ("GHSA-x",), "sources": ("osv",),
        "fixed_in": ("1.1", "2.0"), "occurrences": (Occurrence(inventory="app.txt"),), **more,
    })  # fmt: skip


def judged(item: Finding, *waivers: Waiver | VexStatement) -> Finding:
    (result,), _ = apply_policy([item], AuditPolicy(), waivers, date(2030, 6, 15))
    return result


@pytest.mark.parametrize(
    ("status", "product", "hides"),
    [
        ("not_affected", PURL, True),
        ("not_affected", "pkg:pypi/demo-a", True),
        ("not_affected", "demo-a", True),
        ("not_affected", "pkg:pypi/demo-a@1.1", False),
        ("not_affected", "pkg:pypi/demo-b", False),
        ("fixed", PURL, True),
        ("fixed", "pkg:pypi/demo-a", False),
        ("affected", PURL, False),
        ("under_investigation", PURL, False),
    ],
)
def test_which_statements_hide_a_finding(status: str, product: str, hides: bool) -> None:  # noqa: FBT001 - a column
    result = judged(finding(), *parse_openvex(openvex(statement(status, product)), where="v.json"))

    # The finding bears an alias of the statement's vulnerability, not its name.
    assert bool(result.tolerated) is hides
    assert result.waiver is None or (result.waiver.owner, result.waiver.expires) == ("Demo Security", date.max)
    assert result.waiver is None or result.waiver.reason.startswith(f"VEX {status}")
    assert result.waiver is None or result.waiver.vex == status


N, F, A, U = VexStatus.NOT_AFFECTED, VexStatus.FIXED, VexStatus.AFFECTED, VexStatus.UNDER_INVESTIGATION


@pytest.mark.parametrize(
    ("statements", "hides"),
    [
        ([made(N), made(A, days=1)], False),
        ([made(A, days=1), made(N)], False),
        ([made(N), made(U, days=1)], False),
        ([made(N), made(A)], False),
        ([made(A), made(N, days=1)], True),
        ([made(U), made(F, days=1)], True),
        ([made(N, version="*"), made(A, days=1)], False),
        ([made(N), made(A, version="*", days=1)], False),
        ([made(N), made(A, version="1.1", days=1)], True),
        ([made(N), made(A, name="CVE-2099-2", days=1)], True),
        ([made(N), made(A, name="cve-2099-1", days=1)], False),
        ([made(N), made(A, inventory="app.txt", days=1)], False),
        ([made(N, inventory="app.txt"), made(A, inventory="b.txt", days=1)], True),
        ([made(N, inventory="app*"), made(A, inventory="*.txt", days=1)], False),
        ([made(N), made(A, days=1), made(N, days=2)], True),
        ([made(N), made(A, name="GHSA-x", days=1)], False),
        ([made(N), made(A, name="PYSEC-1", days=1)], False),
        ([made(N, name="GHSA-x"), made(A, days=1)], False),
        ([made(A, name="GHSA-x"), made(N, days=1)], True),
        ([made(N, version="1.0.0"), made(A, days=1)], False),
        ([made(N), made(A, version="1.0.0", days=1)], False),
    ],
)
def test_the_last_word_on_a_finding_stands_whatever_names_and_spellings_it_uses(
    statements: list[VexStatement],
    hides: bool,  # noqa: FBT001 - a column
) -> None:
    item = finding(aliases=("CVE-2099-1", "GHSA-x"))

    assert bool(judged(item, *statements).tolerated) is hides
    assert bool(judged(item, *reversed(statements)).tolerated) is hides


def test_what_is_taken_back_for_one_place_holds_in_the_other() -> None:
    def item(*labels: str) -> Finding:
        return finding(aliases=("CVE-2099-1",), occurrences=tuple(Occurrence(inventory=label) for label in labels))

    statements = made(N), made(A, inventory="a", days=1)

    assert [bool(judged(item(*labels), *statements).tolerated) for labels in (("a",), ("b",), ("a", "b"))] == [
        False, True, False,
    ]  # fmt: skip
    assert judged(item("a", "b"), *statements, own_waiver(id="CVE-2099-1", inventory="a")).tolerated


def test_what_takes_a_statement_back_leaves_ones_own_waiver_alone() -> None:
    assert judged(finding(), own_waiver(), made(A, name="GHSA-x", days=1)).tolerated


def test_each_statement_that_hides_is_listed_once_with_what_became_of_it() -> None:
    statements = parse_openvex(
        openvex(statement(), statement("affected"), statement(product="pkg:pypi/demo-z@1.0")), where="v.json"
    )

    _, uses = apply_policy([finding()], AuditPolicy(), statements, date(2030, 6, 15))

    assert [(use.waiver.package, use.waiver.names, use.state) for use in uses] == [
        ("demo-a", ("CVE-2099-1", "GHSA-x"), "used"),
        ("demo-z", ("CVE-2099-1", "GHSA-x"), "unused"),
    ]


# OpenVEX out


def report(*findings: Finding) -> AuditReport:
    return AuditReport(
        verdict=AuditVerdict.VULNERABLE,
        counts=AuditCounts(audited=1, not_audited=0),
        findings=findings,
        not_audited=(),
        started_at=NOW,
        duration_seconds=1,
    )


def written(item: Finding) -> dict[str, Any]:
    document: Any = to_openvex(report(item), author="me@demo.example", document_id="urn:demo:1", timestamp=NOW)
    assert document["@context"] == "https://openvex.dev/ns/v0.2.0"
    assert (document["@id"], document["author"], document["version"]) == ("urn:demo:1", "me@demo.example", 1)
    assert document["timestamp"] == "2030-01-01T00:00:00+00:00"
    (only,) = document["statements"]
    return dict(only)


def own_waiver(**more: Any) -> Waiver:
    fields = {"id": "GHSA-x", "reason": "accepted", "owner": "somebody", "expires": "2031-01-01", **more}
    return Waiver.model_validate(fields)


def test_a_finding_that_counts_is_affected_and_says_what_to_do() -> None:
    said = written(finding(version="1.0+cu118"))

    assert said["vulnerability"] == {"name": "PYSEC-1", "aliases": ["GHSA-x"]}
    assert said["products"] == [
        {"@id": "pkg:pypi/demo-a@1.0%2Bcu118", "identifiers": {"purl": "pkg:pypi/demo-a@1.0%2Bcu118"}}
    ]
    assert said["status"] == "affected"
    assert "1.1, 2.0" in said["action_statement"]
    assert written(finding(fixed_in=()))["action_statement"]


def test_a_possible_finding_is_under_investigation() -> None:
    said = written(finding(certainty=Certainty.POSSIBLE, doubt="its range cannot be read"))

    assert (said["status"], said["status_notes"]) == ("under_investigation", "its range cannot be read")


def test_a_waiver_of_ones_own_does_not_make_it_unaffected() -> None:
    said = written(judged(finding(), own_waiver()))

    assert said["status"] == "affected"
    assert "accepted" in said["status_notes"]


def test_a_rule_of_the_policy_does_not_make_it_unaffected() -> None:
    said = written(finding(tolerated="below severity high"))

    assert (said["status"], said["status_notes"]) == ("affected", "tolerated: below severity high")


def test_what_a_vex_statement_said_is_repeated() -> None:
    def said(**more: Any) -> dict[str, Any]:
        return written(judged(finding(), *parse_openvex(openvex(statement(**more)), where="v.json")))

    assert said()["justification"] == "vulnerable_code_not_present"
    both = said(impact_statement="patched")
    assert (both["justification"], both["status_notes"]) == ("vulnerable_code_not_present", "patched")
    assert "impact_statement" not in both
    free = said(justification="", impact_statement="never; called")
    assert (free["status"], free["impact_statement"]) == ("not_affected", "never; called")
    assert "justification" not in free
    assert said(status="fixed")["status"] == "fixed"
    assert "status_notes" not in said(status="fixed")


def test_the_text_of_ones_own_waiver_does_not_make_it_a_vex_statement() -> None:
    said = written(judged(finding(), own_waiver(reason="VEX not_affected: trust me")))

    assert said["status"] == "affected"
    assert "trust me" in said["status_notes"]


def test_a_vex_statement_about_one_of_two_places_does_not_make_the_other_unaffected() -> None:
    item = finding(occurrences=(Occurrence(inventory="a"), Occurrence(inventory="b")))
    for own in (own_waiver(inventory="b"), own_waiver(inventory="b", expires="9999-12-31")):
        for waivers in ((made(N, name="GHSA-x", inventory="a"), own), (own, made(N, name="GHSA-x", inventory="a"))):
            result = judged(item, *waivers)

            assert result.tolerated
            assert written(result)["status"] == "affected"


def test_a_vex_statement_about_one_of_two_flaws_does_not_make_the_other_unaffected() -> None:
    item = finding(aliases=("CVE-2099-1", "CVE-2099-2"))
    both = openvex(statement(vulnerability={"name": "PYSEC-1", "aliases": ["CVE-2099-1", "CVE-2099-2"]}))
    one_by_one = judged(item, made(N), made(N, name="CVE-2099-2"))

    assert not judged(item, made(N)).tolerated
    assert not judged(item, made(N, name="PYSEC-1")).tolerated
    assert (bool(one_by_one.tolerated), written(one_by_one)["status"]) == (True, "affected")
    assert written(judged(item, *parse_openvex(both, where="v.json")))["status"] == "not_affected"


def test_without_a_finding_there_is_no_valid_document() -> None:
    with pytest.raises(RejectedError):
        to_openvex(report(), author="me", document_id="urn:demo:1", timestamp=NOW)


def test_what_is_written_is_read_again() -> None:
    for item in (finding(), finding(aliases=("GHSA-x", "CVE-2099-1", "CVE-2099-2"))):
        names = {"name": item.id, "aliases": list(item.aliases)}
        statements = parse_openvex(openvex(statement(vulnerability=names)), where="v.json")
        document = to_openvex(report(judged(item, *statements)), author="me", document_id="urn:demo:1", timestamp=NOW)

        again = parse_openvex(document, where="again.json")

        assert judged(item, *again).tolerated


# Hostile input

KEYS = [
    "author", "timestamp", "statements", "vulnerability", "name", "aliases", "products", "@id", "status",
    "justification", "bomFormat", "vulnerabilities", "analysis", "state", "affects", "ref", "components", "purl",
    "bom-ref", "id",
]  # fmt: skip
WORDS = st.sampled_from([PURL, "not_affected", "CycloneDX", "2030-01-01T00:00:00Z", "CVE-2099-1", "\ud800", ""])
JSON = st.recursive(
    st.one_of(st.none(), st.integers(), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)),
    max_leaves=15,
)


@pytest.mark.parametrize("parse", [parse_openvex, parse_cyclonedx_vex])
@settings(deadline=None, max_examples=100)
@given(document=JSON)
def test_any_document_is_read_or_refused(parse: Callable[..., tuple[VexStatement, ...]], document: Any) -> None:
    with suppress(RejectedError):
        statements = parse(document, where="v.json")
        judged(finding(), *statements)
        assert all(waiver is None or waiver.vex for waiver in map(to_waiver, statements))
