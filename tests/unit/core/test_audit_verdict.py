"""Judging a merged audit."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from holdtrue.core.audit_merge import Merged, merge
from holdtrue.core.audit_verdict import conclude, judge
from holdtrue.core.lockfiles import OWN_PROJECT as THE_PROJECT_ITSELF
from holdtrue.models.audit import AuditVerdict, Finding, InventoryCount, NotAudited, Occurrence, SourceUse
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

    assert judge(findings, gaps, inventories, [SOURCE]) == case["verdict"]


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

    assert judge((), [item], [FULL], [SOURCE]) is AuditVerdict.INCOMPLETE


@pytest.mark.parametrize(
    ("origin", "verdict"), [(Origin.EDITABLE, "clean"), (Origin.LOCAL, "clean"), (None, "incomplete")]
)
def test_the_project_whose_lock_file_it_is_is_tolerated(origin: Origin | None, verdict: str) -> None:
    item = NotAudited(name="demo-app", reason=THE_PROJECT_ITSELF, origin=origin)

    assert judge((), [item], [FULL], [SOURCE]) == verdict


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
        (audited(JUDGED, OURS, answer=SourceAnswer(unanswered={Pin("holdtrue", "1"): "timed out"})), "incomplete"),
        (merge([], [("osv", SourceAnswer())]), "incomplete"),
    ],
)
def test_the_verdict_on_what_was_merged(merged: Merged, verdict: str) -> None:
    report = conclude(merged, merged.findings, started_at=datetime(2030, 1, 1, tzinfo=UTC), duration_seconds=1)

    assert report.verdict == verdict
    assert report.not_audited == merged.not_audited


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
        "audited": 1, "not_audited": 1, "findings": 1, "tolerated": 1, "unique": 1,
    }  # fmt: skip
    assert report.inventories[0].findings == 1
    assert report.counting == (findings[1],)
