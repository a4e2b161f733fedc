"""The report on a terminal."""

from datetime import date, timedelta

import pytest

from holdtrue.core.audit_age import stale_sources
from holdtrue.core.audit_output.phrases import source_text, stale_text
from holdtrue.core.audit_output.table import describe
from holdtrue.models.audit import (
    AuditCounts,
    AuditReport,
    AuditVerdict,
    Finding,
    NotAudited,
    Occurrence,
    Severity,
    SourceAnswered,
    SourceUse,
    WaiverUse,
)
from holdtrue.models.osv import Certainty
from tests.unit.core.audit_output_samples import (
    CRITICAL,
    INCOMPLETE,
    MINOR,
    ORDINARY,
    POSSIBLE,
    SOUND,
    STARTED_AT,
    WAIVED,
    WAIVER,
    many,
    report,
)


def test_the_verdict_is_first_and_the_counts_are_last() -> None:
    lines = describe(ORDINARY)

    assert lines[0] == "vulnerable: 2 findings that count, 2 tolerated, 3 things not audited"
    assert lines[-1] == "audited 7 (distinct 6), not audited 3, findings 2, tolerated 2, in 1.2 s"


def test_a_finding_has_all_that_a_person_needs_to_act_on_it() -> None:
    text = "\n".join(describe(ORDINARY))

    for part in (
        "critical 9.8", "demo-web", "1.0", "PYSEC-2026-1", "CVE-2026-0001, GHSA-aaaa-bbbb-cccc", "1.1, 2.0",
        "services/shop/requirements.txt, line 3 (direct)",
        "services/shop/uv.lock, line 41 (through demo-site > demo-server)",
        "Requests are answered with the memory of other requests.",
        "known to be exploited", "EPSS 42.0%", "pypi: fixed in 1.1 only",
    ):  # fmt: skip
        assert part in text


def test_the_gravest_stands_on_top_and_unknown_is_not_the_least() -> None:
    findings = [
        MINOR.model_copy(update={"severity": severity, "package": f"{severity}-package", "tolerated": ""})
        for severity in Severity
    ]

    rows = [line.split()[0] for line in describe(report(*findings)) if "-package" in line]

    assert rows == ["critical", "high", "unknown", "medium", "low", "none"]


def test_findings_of_one_severity_are_sorted_by_package() -> None:
    findings = [CRITICAL.model_copy(update={"package": name}) for name in ("zeta", "alpha", "mid")]

    rows = [line.split()[2] for line in describe(report(*findings)) if line.startswith("  critical")]

    assert rows == ["alpha", "mid", "zeta"]


def test_a_possible_finding_is_marked_and_says_why() -> None:
    lines = describe(report(POSSIBLE))

    assert any(line.startswith("  unknown, possible") and "demo-fork" in line for line in lines)
    assert any("only possible: installed from a repository" in line for line in lines)
    assert any("no fix known" in line for line in lines)


def test_a_possible_finding_without_a_reason_is_marked_all_the_same() -> None:
    finding = CRITICAL.model_copy(update={"certainty": Certainty.POSSIBLE})

    assert any("only possible: it could not be decided" in line for line in describe(report(finding)))


def test_tolerated_findings_have_a_section_of_their_own_with_their_rule() -> None:
    lines = describe(ORDINARY)
    counting, tolerated = lines[: lines.index("Tolerated:")], lines[lines.index("Tolerated:") :]

    assert not any("waived" in line or "minor" in line for line in counting)
    assert "      tolerated: waived by platform team until 2026-12-31: not reachable from outside" in tolerated
    assert any("tolerated: severity below medium" in line for line in tolerated)
    assert not any("demo-web" in line for line in tolerated)


def test_what_was_not_audited_is_listed_with_its_reason() -> None:
    lines = describe(ORDINARY)

    assert "  - services/shop/uv.lock: demo-fork 0.3: installed from a repository" in lines
    assert "  - pypi: refused the connection" in lines


@pytest.mark.parametrize(("number", "expected"), [(20, 20), (21, 1)])
def test_many_gaps_of_one_kind_are_one_line_with_their_number(number: int, expected: int) -> None:
    gaps = tuple(NotAudited(name=f"odd-{index}", reason="not pinned", inventory="a.txt") for index in range(number))
    other = NotAudited(name="odd-0", reason="not pinned", inventory="b.txt")

    lines = [
        line for line in describe(report(verdict=AuditVerdict.INCOMPLETE, not_audited=(*gaps, other))) if "odd" in line
    ]

    assert len(lines) == expected + 1
    assert ("21 things" in lines[0]) is (number == 21)


def test_waivers_that_do_nothing_any_more_are_told() -> None:
    text = "\n".join(describe(ORDINARY))

    assert "expired on 2026-01-31: CVE-2025-1111 for waived" in text
    assert "unused, holds until 2026-12-31: CVE-2025-2222" in text
    assert "used, holds until 2026-12-31: CVE-2026-0002" not in text


def test_a_waiver_without_an_end_names_none() -> None:
    endless = WAIVER.model_copy(update={"expires": date.max})
    source = report(
        WAIVED.model_copy(update={"waiver": endless, "tolerated": "waived by platform team"}),
        waivers=(WaiverUse(waiver=endless, state="unused"),),
    )

    text = "\n".join(describe(source))

    assert "9999" not in text
    assert "unused: CVE-2026-0002 for waived" in text
    assert text.count("waived by platform team") == 1


def test_a_gap_that_is_tolerated_says_so_where_it_is_listed_and_counted() -> None:
    gaps = (
        NotAudited(name="acme-core", reason="named as internal", inventory="a.txt", tolerated="says the policy"),
        NotAudited(name="acme-fork", reason="named as internal", inventory="a.txt"),
    )
    counts = AuditCounts(audited=7, not_audited=2, not_audited_tolerated=1)

    lines = describe(report(not_audited=gaps).model_copy(update={"counts": counts}))

    assert "2 things not audited (1 tolerated)" in lines[0]
    assert "not audited 2 (1 tolerated)," in lines[-1]
    assert "  - a.txt: acme-core: named as internal (tolerated: says the policy)" in lines
    assert "  - a.txt: acme-fork: named as internal" in lines


def test_each_source_tells_how_old_its_data_are_or_why_it_is_silent() -> None:
    lines = describe(ORDINARY)

    assert "  osv (https://osv.example), asked live" in lines
    assert "  osv-db (/data/all.zip), data of 2026-11-20 11:00 UTC, 3 days old" in lines
    assert "  pypi (https://pypi.example) did not answer: refused the connection" in lines


def test_what_was_not_asked_is_not_called_live() -> None:
    source = SourceUse(name="osv", location="https://osv.example", answered=SourceAnswered.NOT_ASKED)
    undated = SourceUse(name="osv-db", location="all.zip", answered=SourceAnswered.SNAPSHOT)

    assert source_text(source, STARTED_AT).startswith("osv (https://osv.example), not asked")
    assert source_text(undated, STARTED_AT) == "osv-db (all.zip), data of unknown age"


@pytest.mark.parametrize(
    ("days", "failure", "is_told"),
    [
        (None, "", True),
        (31, "", True),
        (30, "", False),
        (0, "", False),
        (31, "cut", False),
        (-1, "", False),
        (-2, "", True),
    ],
)
def test_a_snapshot_of_more_than_a_month_or_from_the_future_is_reported(
    days: int | None, failure: str, *, is_told: bool
) -> None:
    source = SourceUse(
        name="osv-db",
        location="all.zip",
        answered=SourceAnswered.SNAPSHOT,
        snapshot_at=None if days is None else STARTED_AT - timedelta(days=days),
        failure=failure,
    )
    live = SourceUse(name="osv", location="https://osv.example")

    found = stale_sources(report().model_copy(update={"sources": (live, source)}))

    assert found == ([source] if is_told else [])
    assert "all.zip" in stale_text(source, STARTED_AT)


@pytest.mark.parametrize("source", [ORDINARY, INCOMPLETE, report(CRITICAL, WAIVED), many(3)])
def test_only_a_clean_audit_is_called_clean(source: AuditReport) -> None:
    assert "clean" not in "\n".join(describe(source))


def test_a_clean_audit_is_called_clean() -> None:
    lines = describe(SOUND)

    assert lines[0] == "clean: no finding that counts"
    assert lines[-1].startswith("audited 7 ")
    assert "Findings:" not in lines


def test_an_incomplete_audit_says_so_first() -> None:
    lines = describe(INCOMPLETE)

    assert lines[0].startswith("incomplete: ")
    assert "not everything could be looked at" in lines[0]


def test_prose_is_cut_at_the_width_and_what_one_acts_on_is_not() -> None:
    finding = CRITICAL.model_copy(
        update={
            "summary": "word " * 100,
            "fixed_in": tuple(f"1.{index}" for index in range(5)),
            "id": "PYSEC-" + "9" * 30,
        }
    )

    lines = describe(report(finding), width=50)

    about = next(line for line in lines if "about:" in line)
    assert len(about) == 50
    assert about.endswith("…")
    assert any(finding.id in line and "1.0, 1.1, 1.2, 1.3, 1.4" in line for line in lines)


def test_many_places_and_fixes_are_counted_not_listed() -> None:
    finding = CRITICAL.model_copy(
        update={
            "occurrences": tuple(Occurrence(inventory=f"{index}.txt") for index in range(1_000)),
            "fixed_in": tuple(f"1.{index}" for index in range(40)),
        }
    )

    lines = describe(report(finding))

    assert len(lines) < 30
    assert "      in 995 more places" in lines
    assert any("1.4 and 35 more" in line for line in lines)


def test_ten_thousand_findings_are_all_told() -> None:
    text = "\n".join(describe(many(10_000), width=120))

    assert text.count("critical 9.8") == 10_000
    assert text.count("odd-") == 10_000


def test_a_finding_without_any_detail_is_still_a_row() -> None:
    bare = Finding(package="bare", version="", id="X-1", sources=("osv",))

    assert any("bare" in line and "X-1" in line and "unknown" in line for line in describe(report(bare)))
