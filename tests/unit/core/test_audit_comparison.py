"""What is new, known and fixed since the last audit."""

from datetime import UTC, datetime
from typing import Any

import pytest

from holdtrue.core.audit_comparison import compare
from holdtrue.models.audit import (
    AuditCounts,
    AuditReport,
    AuditVerdict,
    Finding,
    InventoryCount,
    NotAudited,
    Occurrence,
    SourceUse,
)
from holdtrue.models.audit_changes import AuditChanges
from holdtrue.models.dependency import Origin

BEFORE, NOW = datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 1, 2, tzinfo=UTC)
OSV = SourceUse(name="osv", location="https://osv.example")
DOWN = SourceUse(name="osv", location="https://osv.example", failure="timed out")
PYPI = SourceUse(name="pypi", location="https://pypi.example")


def finding(name: str, *aliases: str, inventories: tuple[str, ...] = ("a.txt",), **more: Any) -> Finding:
    return Finding.model_validate(
        {
            "package": "demo-a",
            "version": "1.0",
            "id": name,
            "aliases": aliases,
            "sources": ("osv",),
            "occurrences": tuple(Occurrence(inventory=label) for label in inventories),
            **more,
        }
    )


def inventory(label: str, audited: int = 3) -> InventoryCount:
    return InventoryCount(label=label, kind="requirements", audited=audited, not_audited=0, findings=0)


def report(
    *findings: Finding,
    inventories: tuple[InventoryCount, ...] = (inventory("a.txt"), inventory("b.txt")),
    gaps: tuple[NotAudited, ...] = (),
    sources: tuple[SourceUse, ...] = (OSV,),
    at: datetime = NOW,
) -> AuditReport:
    return AuditReport(
        verdict=AuditVerdict.INCOMPLETE,
        counts=AuditCounts(audited=1, not_audited=0),
        findings=findings,
        not_audited=gaps,
        inventories=inventories,
        sources=sources,
        started_at=at,
        duration_seconds=1,
    )


def before(*findings: Finding, **more: Any) -> AuditReport:
    return report(*findings, at=BEFORE, **more)


def ids(changes: AuditChanges) -> dict[str, list[str]]:
    return {name: [item.id for item in getattr(changes, name)] for name in ("new", "known", "fixed", "not_looked_at")}


def told(**expected: list[str]) -> dict[str, list[str]]:
    return {"new": [], "known": [], "fixed": [], "not_looked_at": [], **expected}


def test_without_a_previous_audit_all_are_new() -> None:
    changes = compare(None, report(finding("A-1"), finding("A-2")))

    assert ids(changes) == told(new=["A-1", "A-2"])
    assert changes.since is None


def test_new_known_and_fixed() -> None:
    changes = compare(before(finding("A-1"), finding("A-2")), report(finding("A-2"), finding("A-3")))

    assert ids(changes) == told(new=["A-3"], known=["A-2"], fixed=["A-1"])
    assert changes.since == BEFORE


@pytest.mark.parametrize(
    "later",
    [
        finding("A-1", version="1.1"),
        finding("PYSEC-1", "a-1"),
        finding("A-1", inventories=("b.txt",)),
        finding("A-1", tolerated="below severity high"),
    ],
)
def test_another_version_id_place_or_judgement_of_it_is_known(later: Finding) -> None:
    changes = compare(before(finding("A-1")), report(later))

    assert changes.known == (later,)
    assert ids(changes) == told(known=[later.id])


@pytest.mark.parametrize(
    ("earlier", "later", "counts_now"),
    [
        (["waived by sre"], "", ["A-1"]),
        (["below severity high", "waived by sre"], "", ["A-1"]),
        (["waived by sre"], "below severity high", []),
        (["", "waived by sre"], "", []),
        ([""], "", []),
        ([], "", []),
    ],
)
def test_what_counts_now_was_tolerated_in_every_version_the_last_time(
    earlier: list[str], later: str, counts_now: list[str]
) -> None:
    previous = before(*(finding("A-1", version=f"1.{at}", tolerated=text) for at, text in enumerate(earlier)))

    changes = compare(previous, report(finding("A-1", tolerated=later)))

    assert [item.id for item in changes.counts_now] == counts_now
    assert set(changes.counts_now) <= set(changes.known)


def test_what_only_a_source_that_is_down_may_know_is_not_fixed() -> None:
    previous = before(finding("A-1", sources=("osv", "pypi")), sources=(OSV, PYPI))

    assert ids(compare(previous, report(sources=(DOWN, PYPI)))) == told(not_looked_at=["A-1"])
    assert ids(compare(previous, report(sources=(OSV, PYPI)))) == told(fixed=["A-1"])


def test_one_id_in_another_package_is_another_finding() -> None:
    changes = compare(before(finding("A-1")), report(finding("A-1", package="demo-b")))

    assert ids(changes) == told(new=["A-1"], fixed=["A-1"])


def test_a_package_of_which_one_of_two_versions_is_left_is_known() -> None:
    changes = compare(before(finding("A-1"), finding("A-1", version="1.1")), report(finding("A-1", version="1.1")))

    assert ids(changes) == told(known=["A-1"])


@pytest.mark.parametrize(
    "more",
    [
        {"inventories": (inventory("b.txt"),)},
        {"inventories": (inventory("a.txt", audited=0), inventory("b.txt"))},
        {"inventories": ()},
        {"sources": (DOWN, PYPI)},
        {"sources": (PYPI,)},
        {"gaps": (NotAudited(name="line 7", reason="unreadable", inventory="a.txt"),)},
        {"gaps": (NotAudited(name="demo-a", version="1.0", reason="osv: timed out"),)},
        {"gaps": (NotAudited(name="demo-a", reason="not pinned", inventory="a.txt", origin=Origin.INDEX),)},
    ],
)
def test_what_was_not_looked_for_is_not_fixed(more: dict[str, Any]) -> None:
    assert ids(compare(before(finding("A-1")), report(**more))) == told(not_looked_at=["A-1"])


def test_what_was_looked_for_in_one_of_two_places_is_not_fixed() -> None:
    previous = before(finding("A-1", inventories=("a.txt", "b.txt")))

    assert ids(compare(previous, report(inventories=(inventory("a.txt"),)))) == told(not_looked_at=["A-1"])


@pytest.mark.parametrize(
    "more",
    [
        {"sources": (OSV, SourceUse(name="pypi", location="", failure="timed out"))},
        {"gaps": (NotAudited(name="line 7", reason="unreadable", inventory="b.txt"),)},
        {"gaps": (NotAudited(name="demo-b", reason="not pinned", inventory="a.txt", origin=Origin.INDEX),)},
        {"gaps": (NotAudited(name="demo-a", reason="not pinned", inventory="b.txt", origin=Origin.INDEX),)},
        {"gaps": (NotAudited(name="line 3", reason="unreadable", inventory="a.txt"),)},
    ],
)
def test_a_gap_that_cannot_hide_it_leaves_it_fixed(more: dict[str, Any]) -> None:
    # Line 3 could not be read the last time either, and the finding was seen beside it.
    old = NotAudited(name="line 3", reason="unreadable", inventory="a.txt")

    assert ids(compare(before(finding("A-1"), gaps=(old,)), report(**more))) == told(fixed=["A-1"])
