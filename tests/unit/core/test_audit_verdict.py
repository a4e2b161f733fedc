"""Judging a merged audit."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from holdtrue.core.audit_judgement import Judgement
from holdtrue.core.audit_merge import Merged, merge
from holdtrue.core.audit_verdict import conclude, judge, tolerate
from holdtrue.core.lockfiles import INTERNAL_NAME
from holdtrue.core.lockfiles import OWN_PROJECT as THE_PROJECT_ITSELF
from holdtrue.models.audit import (
    AuditPolicy,
    AuditReport,
    AuditVerdict,
    Finding,
    InventoryCount,
    NotAudited,
    Occurrence,
    SourceUse,
)
from holdtrue.models.dependency import Dependency, Inventory, Origin, Pin
from holdtrue.models.osv import AdvisoryRecord, Match, SourceAnswer

CASES = json.loads((Path(__file__).parents[2] / "cases" / "audit_verdict.json").read_text())
SOURCE = SourceUse(name="osv", location="https://osv.example")
FINDING = Finding(
    package="demo-a", version="1.0", id="PYSEC-1", sources=("osv",), occurrences=(Occurrence(inventory="app.txt"),)
)
FULL = InventoryCount(label="app.txt", kind="requirements", audited=3, not_audited=0, findings=0)
JUDGED = Dependency("demo-a", "1.0")
OURS = Dependency("holdtrue", "1", Origin.EDITABLE)


def gap(name: str, reason: str) -> NotAudited:
    return NotAudited(name=name, reason=reason, origin=Origin.LOCAL if reason == "local project" else None)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_verdict(case: dict[str, Any]) -> None:
    targets = case["targets"]
    inventories = [
        InventoryCount(label=f"t{index}", kind="requirements", audited=item["audited"], not_audited=0, findings=0)
        for index, item in enumerate(targets)
    ]
    gaps = [
        gap(*pair) for item in (*targets, {"not_audited": case["failures"]}) for pair in item.get("not_audited", ())
    ]
    findings = [FINDING] * sum(item.get("advisories", 0) for item in targets)

    assert judge(findings, tolerate(gaps), inventories, [SOURCE]) == case["verdict"]


def test_cases_cover_every_verdict() -> None:
    assert {case["verdict"] for case in CASES} == set(AuditVerdict)


def test_a_tolerated_finding_does_not_make_it_vulnerable() -> None:
    tolerated = FINDING.model_copy(update={"tolerated": "below severity high"})

    assert judge([tolerated], (), [FULL], [SOURCE]) is AuditVerdict.CLEAN
    assert judge([tolerated, FINDING], (), [FULL], [SOURCE]) is AuditVerdict.VULNERABLE


def test_a_source_that_failed_or_no_source_is_incomplete() -> None:
    failed = SourceUse(name="pypi", location="", failure="timed out")

    assert judge((), (), [FULL], [SOURCE, failed]) is AuditVerdict.INCOMPLETE
    assert judge((), (), [FULL], []) is AuditVerdict.INCOMPLETE


@pytest.mark.parametrize("origin", [Origin.VCS, Origin.INTERNAL, Origin.DISTRO, Origin.INDEX, None])
def test_our_own_project_is_only_tolerated_where_it_was_installed_from_source(origin: Origin | None) -> None:
    item = NotAudited(name="holdtrue", reason="local project", origin=origin)

    assert judge((), tolerate([item]), [FULL], [SOURCE]) is AuditVerdict.INCOMPLETE


@pytest.mark.parametrize(
    ("origin", "verdict"), [(Origin.EDITABLE, "clean"), (Origin.LOCAL, "clean"), (None, "incomplete")]
)
def test_the_project_whose_lock_file_it_is_is_tolerated(origin: Origin | None, verdict: str) -> None:
    item = NotAudited(name="demo-app", reason=THE_PROJECT_ITSELF, origin=origin)

    assert judge((), tolerate([item]), [FULL], [SOURCE]) == verdict


def audited(*dependencies: Dependency, answer: SourceAnswer | str) -> Merged:
    return merge([Inventory("app.txt", "requirements", dependencies)], [("osv", answer)])


@pytest.mark.parametrize(
    ("merged", "verdict"),
    [
        (audited(JUDGED, answer=SourceAnswer()), "clean"),
        (audited(answer=SourceAnswer()), "incomplete"),
        (audited(JUDGED, answer="down"), "incomplete"),
        (audited(JUDGED, OURS, answer=SourceAnswer()), "clean"),
        (audited(JUDGED, Dependency("demo-b", "1", Origin.EDITABLE), answer=SourceAnswer()), "incomplete"),
        (merge([], [("osv", SourceAnswer())]), "incomplete"),
    ],
)
def test_the_verdict_on_what_was_merged(merged: Merged, verdict: str) -> None:
    report = conclude(merged, merged.findings, started_at=datetime(2030, 1, 1, tzinfo=UTC), duration_seconds=1)

    assert report.verdict == verdict
    assert [item.model_copy(update={"tolerated": ""}) for item in report.not_audited] == [*merged.not_audited]
    assert all(item.tolerated == "" or item.name == "holdtrue" for item in report.not_audited)


INTERNAL = Dependency("acme-core", "1.0", Origin.INTERNAL, reason=INTERNAL_NAME)
TRUSTING = AuditPolicy(internal_is_audited_elsewhere=True)


def told(*judgements: Judgement, held: tuple[Dependency, ...] = (JUDGED, INTERNAL)) -> AuditReport:
    merged = audited(*held, answer=SourceAnswer())
    return conclude(
        merged,
        merged.findings,
        judgements=judgements,
        started_at=datetime(2030, 1, 1, tzinfo=UTC),
        duration_seconds=1,
    )


@pytest.mark.parametrize(
    ("judgements", "verdict"),
    [
        ((), "incomplete"),
        ((Judgement(),), "incomplete"),
        ((Judgement(TRUSTING),), "clean"),
        ((Judgement(TRUSTING, labels=frozenset({"app.txt"})),), "clean"),
        ((Judgement(TRUSTING, labels=frozenset({"other.txt"})),), "incomplete"),
        ((Judgement(TRUSTING), Judgement(labels=frozenset({"app.txt"}))), "incomplete"),
        ((Judgement(TRUSTING), Judgement(labels=frozenset({"other.txt"}))), "clean"),
    ],
)
def test_internal_packages_are_tolerated_where_every_policy_about_their_place_says_so(
    judgements: tuple[Judgement, ...], verdict: str
) -> None:
    report = told(*judgements)

    (item,) = report.not_audited
    assert report.verdict == verdict
    assert (item.name, bool(item.tolerated)) == ("acme-core", verdict == "clean")
    assert (report.counts.audited, report.counts.not_audited) == (1, 1)
    assert report.counts.not_audited_tolerated == (1 if verdict == "clean" else 0)


@pytest.mark.parametrize(
    ("held", "verdict"),
    [
        ((JUDGED, Dependency("acme-core", "", Origin.INTERNAL, reason="it has no exact version")), "clean"),
        ((JUDGED, Dependency("acme-core", "1.0", Origin.VCS, reason=INTERNAL_NAME)), "clean"),
        ((JUDGED, INTERNAL, Dependency("demo-fork", "1.0", Origin.VCS)), "incomplete"),
        ((JUDGED, INTERNAL, Dependency("demo-b", "")), "incomplete"),
        ((INTERNAL,), "incomplete"),
    ],
)
def test_trust_in_internal_packages_is_for_them_alone_and_they_alone_are_nothing_audited(
    held: tuple[Dependency, ...], verdict: str
) -> None:
    assert told(Judgement(TRUSTING), held=held).verdict == verdict


def test_a_package_that_is_tolerated_counts_once_for_each_inventory_that_holds_it() -> None:
    twice = Dependency("acme-core", "1.0", Origin.INTERNAL, place="line 9", reason="pinned twice")
    merged = merge(
        [Inventory(label, "requirements", (JUDGED, INTERNAL, twice)) for label in ("a.txt", "b.txt")],
        [("osv", SourceAnswer())],
    )

    counts = conclude(
        merged, (), judgements=[Judgement(TRUSTING)], started_at=datetime(2030, 1, 1, tzinfo=UTC), duration_seconds=1
    ).counts

    assert (counts.not_audited, counts.not_audited_tolerated) == (2, 2)


def test_the_report_counts_what_counts_and_puts_it_first() -> None:
    matches = (Match(AdvisoryRecord("PYSEC-1")), Match(AdvisoryRecord("PYSEC-2")))
    merged = audited(
        Dependency("demo-a", "1.0"), Dependency("demo-b", ""), answer=SourceAnswer({Pin("demo-a", "1.0"): matches})
    )
    findings = [merged.findings[0].model_copy(update={"tolerated": "a rule"}), merged.findings[1]]

    report = conclude(merged, findings, started_at=datetime(2030, 1, 1, tzinfo=UTC), duration_seconds=1)

    assert [item.id for item in report.findings] == ["PYSEC-2", "PYSEC-1"]
    assert report.verdict is AuditVerdict.VULNERABLE
    assert report.counts.model_dump() == {
        "audited": 1, "not_audited": 1, "findings": 1, "tolerated": 1, "unique": 1, "not_audited_tolerated": 0,
    }  # fmt: skip
    assert report.inventories[0].findings == 1
    assert report.counting == (findings[1],)
