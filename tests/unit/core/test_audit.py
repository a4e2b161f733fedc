"""Merging audits and judging them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from holdtrue.core.audit import merge
from holdtrue.models.advisory import Advisory, AuditReport, NotAudited, TargetAudit

CASES = json.loads((Path(__file__).parents[2] / "cases" / "audit_verdict.json").read_text())


def report_of(targets: Sequence[TargetAudit], failures: Sequence[NotAudited] = ()) -> AuditReport:
    return merge(
        targets,
        failures,
        source="http://advisories.example",
        started_at=datetime(2030, 1, 1, tzinfo=UTC),
        duration_seconds=1.5,
    )


def advisory(name: str, *aliases: str, target: str = "one", version: str = "1.0", **more: Any) -> Advisory:
    return Advisory(package="demo-a", version=version, id=name, aliases=aliases, found_in=(target,), **more)


def target(*advisories: Advisory, name: str = "one") -> TargetAudit:
    return TargetAudit(target=name, audited=2, advisories=advisories)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_verdict(case: dict[str, Any]) -> None:
    targets = [
        TargetAudit(
            target=f"t{index}",
            audited=item["audited"],
            advisories=tuple(advisory(f"PYSEC-2099-{number}") for number in range(item.get("advisories", 0))),
            not_audited=tuple(
                NotAudited(name=name, reason=reason, found_in=f"t{index}")
                for name, reason in item.get("not_audited", ())
            ),
        )
        for index, item in enumerate(case["targets"])
    ]
    failures = [NotAudited(name=name, reason=reason, found_in="t9") for name, reason in case["failures"]]

    report = report_of(targets, failures)

    assert report.verdict == case["verdict"]
    assert report.audited == sum(item.audited for item in targets)
    assert set(report.not_audited) == {*failures, *(gap for item in targets for gap in item.not_audited)}


def test_cases_cover_every_verdict() -> None:
    assert {case["verdict"] for case in CASES} == {"clean", "vulnerable", "incomplete"}


def test_same_finding_in_two_targets_is_one() -> None:
    report = report_of(
        [target(advisory("PYSEC-1")), target(advisory("PYSEC-1", target="two"), name="two")],
    )

    assert [item.found_in for item in report.advisories] == [("one", "two")]


def test_other_versions_and_packages_stay_apart() -> None:
    other = Advisory(package="demo-b", version="1.0", id="PYSEC-1", found_in=("one",))

    report = report_of([target(advisory("PYSEC-1"), advisory("PYSEC-1", version="1.1"), other)])

    assert [(item.package, item.version) for item in report.advisories] == [
        ("demo-a", "1.0"), ("demo-a", "1.1"), ("demo-b", "1.0"),
    ]  # fmt: skip


def test_aliases_are_one_finding_in_any_order() -> None:
    # The second joins the first and the third, which do not know each other.
    found = [
        advisory("GHSA-x", fixed_in=("2.0",)),
        advisory("CVE-1", "GHSA-x", "PYSEC-1", fixed_in=("1.10",)),
        advisory("PYSEC-1", fixed_in=("1.9", "not-a-version"), summary="what it is"),
    ]

    reports = [report_of([target(*order)]) for order in permutations(found)]

    assert {len(report.advisories) for report in reports} == {1}
    assert all(report.advisories == reports[0].advisories for report in reports)
    merged = reports[0].advisories[0]
    assert (merged.id, merged.aliases) == ("PYSEC-1", ("CVE-1", "GHSA-x"))
    assert merged.fixed_in == ("1.9", "1.10", "2.0", "not-a-version")
    assert merged.summary == "what it is"


def test_unrelated_findings_of_one_package_stay_apart() -> None:
    report = report_of([target(advisory("PYSEC-2", "CVE-2"), advisory("PYSEC-1", "CVE-1"))])

    assert [item.id for item in report.advisories] == ["PYSEC-1", "PYSEC-2"]


def test_order_of_targets_does_not_change_findings() -> None:
    first, second = target(advisory("CVE-1")), target(advisory("PYSEC-1", "CVE-1", target="two"), name="two")

    assert report_of([first, second]).advisories == report_of([second, first]).advisories


def test_the_same_gap_is_listed_once() -> None:
    gap = NotAudited(name="demo-a", reason="unknown", found_in="one")
    audits = [TargetAudit(target="one", audited=1, not_audited=(gap, gap))]

    assert report_of(audits, [gap]).not_audited == (gap,)
