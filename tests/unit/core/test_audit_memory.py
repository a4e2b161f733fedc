"""What one audit keeps for the next."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdtrue.core import audit_memory
from holdtrue.core.audit_comparison import compare
from holdtrue.core.audit_memory import MemoryUnreadable, read_memory, remembered
from holdtrue.core.audit_output.changes import changes_markdown, changes_text
from holdtrue.models.audit import AuditReport, NotAudited, Occurrence
from holdtrue.models.audit_changes import AuditChanges, FleetAudit
from tests.unit.core.test_audit_comparison import DOWN, OSV, PYPI, before, finding, inventory, report


def kept(current: AuditReport, previous: AuditReport | None = None, *, whole: bool = True) -> AuditReport:
    return read_memory(remembered(current, previous, is_whole=whole))


def told(previous: AuditReport, current: AuditReport) -> dict[str, list[str]]:
    changes = compare(previous, current)
    return {
        name: [item.id for item in getattr(changes, name)]
        for name in ("new", "known", "counts_now", "fixed", "not_looked_at")
        if getattr(changes, name)
    }


def test_the_next_audit_knows_what_this_one_found() -> None:
    gap = NotAudited(name="line 3", reason="not understood", inventory="a.txt")
    current = report(finding("PYSEC-1", "CVE-1", summary="long", score=9.8), finding("PYSEC-2"), gaps=(gap,))

    later = report(finding("CVE-1", version="1.1"), finding("PYSEC-3"), gaps=(gap,))
    changes = compare(kept(current), later)

    assert told(kept(current), later) == {"new": ["PYSEC-3"], "known": ["CVE-1"], "fixed": ["PYSEC-2"]}
    assert changes.since == current.started_at


def test_only_what_a_comparison_needs_is_kept() -> None:
    place = Occurrence(inventory="a.txt", place="line 1", chain=("x",))
    long = finding("PYSEC-1", summary="s" * 1000, link="https://h.example").model_copy(
        update={"occurrences": (place, place.model_copy(update={"place": "line 2"}))}
    )

    (slim,) = kept(report(long)).findings

    assert (slim.summary, slim.link, slim.severity) == ("", "", long.severity)
    assert slim.occurrences == (Occurrence(inventory="a.txt"),)


def test_what_was_out_of_sight_is_kept_until_its_place_is_gone() -> None:
    hidden = finding("PYSEC-1", inventories=("gone.txt",))
    silent = finding("PYSEC-2", inventories=("demo/hosts/web-1:/srv/app",))
    current = report(inventories=(inventory("a.txt"), inventory("demo/hosts/web-1", audited=0)))

    previous = before(hidden, silent)

    assert [item.id for item in kept(current, previous).findings] == ["PYSEC-2"]
    assert [item.id for item in kept(current, previous, whole=False).findings] == ["PYSEC-1", "PYSEC-2"]


def test_a_source_that_was_down_is_still_waited_for_when_another_reported_the_finding_meanwhile() -> None:
    both = before(finding("PYSEC-1", sources=("osv", "pypi")), sources=(OSV, PYPI))
    meanwhile = kept(report(finding("PYSEC-1", sources=("pypi",)), sources=(DOWN, PYPI)), both)

    assert told(meanwhile, report(sources=(DOWN, PYPI))) == {"not_looked_at": ["PYSEC-1"]}
    assert told(meanwhile, report(sources=(OSV, PYPI))) == {"fixed": ["PYSEC-1"]}


def test_a_source_that_is_asked_no_more_is_waited_for_once() -> None:
    both = before(finding("PYSEC-1", sources=("osv", "pypi")), finding("PYSEC-2"), sources=(OSV, PYPI))
    without = report(sources=(PYPI,))

    assert told(both, without) == {"not_looked_at": ["PYSEC-1", "PYSEC-2"]}
    assert told(kept(without, both), without) == {"fixed": ["PYSEC-1"]}


def test_a_place_that_was_out_of_sight_is_still_looked_for_when_the_finding_was_seen_elsewhere() -> None:
    everywhere = before(finding("PYSEC-1", inventories=("a.txt", "b.txt")))
    part = kept(report(finding("PYSEC-1"), inventories=(inventory("a.txt"),)), everywhere, whole=False)

    assert told(part, report(inventories=(inventory("a.txt"),))) == {"not_looked_at": ["PYSEC-1"]}
    assert told(part, report(finding("PYSEC-1", inventories=("b.txt",)))) == {"known": ["PYSEC-1"]}
    assert told(part, report()) == {"fixed": ["PYSEC-1"]}


def test_what_counts_where_nobody_looked_goes_on_counting() -> None:
    everywhere = before(finding("PYSEC-1", inventories=("a.txt", "b.txt")))
    tolerated_here = report(finding("PYSEC-1", tolerated="low"), inventories=(inventory("a.txt"),))
    counting = report(finding("PYSEC-1", inventories=("a.txt", "b.txt")))

    assert told(kept(tolerated_here, everywhere, whole=False), counting) == {"known": ["PYSEC-1"]}
    assert told(kept(tolerated_here, before(finding("PYSEC-1"))), counting) == {
        "known": ["PYSEC-1"],
        "counts_now": ["PYSEC-1"],
    }


def test_an_unreadable_part_that_may_hide_a_finding_does_so_until_it_is_mended() -> None:
    gap = NotAudited(name="line 3", reason="not understood", inventory="a.txt")
    spoiled = report(gaps=(gap,))
    meanwhile = kept(spoiled, before(finding("PYSEC-1")))

    assert told(meanwhile, spoiled) == {"not_looked_at": ["PYSEC-1"]}
    assert told(kept(spoiled, meanwhile), spoiled) == {"not_looked_at": ["PYSEC-1"]}
    assert told(meanwhile, report()) == {"fixed": ["PYSEC-1"]}


def test_gaps_of_what_a_part_of_the_fleet_left_out_are_kept() -> None:
    gap = NotAudited(name="line 3", reason="not understood", inventory="b.txt")
    part = report(inventories=(inventory("a.txt"),))

    assert kept(part, report(gaps=(gap,)), whole=False).not_audited == (gap,)
    assert kept(part, report(gaps=(gap,))).not_audited == ()


@pytest.mark.parametrize(
    "text",
    ["", "nothing", "```json\n{}\n```", "```json\n[1]\n```", '{"schema_version": 2}', '```json\n{"schema_version":1'],
)
def test_what_is_no_memory_is_unreadable(text: str) -> None:
    with pytest.raises(MemoryUnreadable):
        read_memory(text)


def test_another_version_is_unreadable() -> None:
    text = remembered(report(), None, is_whole=True)
    read_memory(text)

    with pytest.raises(MemoryUnreadable):
        read_memory(text.replace('"schema_version":1', '"schema_version":2'))


@given(text=st.text(max_size=200))
@settings(deadline=None, max_examples=100)
def test_any_text_of_an_advisory_comes_back_and_ends_no_fence(text: str) -> None:
    written = remembered(report(finding(f"PYSEC-{text}")), None, is_whole=True)

    assert written.isascii()
    assert written.count("\n") == 3
    assert compare(read_memory(written), report(finding(f"PYSEC-{text}"))).new == ()


def test_too_much_is_said_to_be_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_memory, "LIMIT_BYTES", 100)

    text = remembered(report(finding("PYSEC-1")), None, is_whole=True)

    assert len(text) < 100
    with pytest.raises(MemoryUnreadable):
        read_memory(text)


def fleet_audit(changes: AuditChanges, reason: str = "") -> FleetAudit:
    current = report()
    fields = {name: getattr(current, name) for name in AuditReport.model_fields}
    return FleetAudit(**fields, changes=changes, not_compared=reason)


def test_changes_are_counted_and_named() -> None:
    changes = AuditChanges(
        since=datetime(2030, 1, 1, 4, 30, tzinfo=UTC),
        new=tuple(finding(f"PYSEC-{number:03}") for number in range(60)),
        known=(finding("PYSEC-900"),),
        fixed=(finding("PYSEC-800", summary="<script>"),),
        not_looked_at=(finding("[x](javascript:1)"),),
    )
    audit = fleet_audit(changes)

    assert changes_text(audit) == "60 new, 1 known, 1 fixed, 1 not looked at since 2030-01-01 04:30 UTC"
    page = changes_markdown(audit)
    assert "PYSEC-049" in page
    assert "PYSEC-059" not in page
    assert "10 more findings" in page
    assert "PYSEC-800" in page
    assert "PYSEC-900" not in page
    assert "[x](" not in page


def test_what_counts_now_and_did_not_is_counted_and_named() -> None:
    since = datetime(2030, 1, 1, 4, 30, tzinfo=UTC)
    first, second = finding("PYSEC-901"), finding("PYSEC-902")
    audit = fleet_audit(AuditChanges(since=since, known=(first, second), counts_now=(first,)))

    assert changes_text(audit) == "0 new, 2 known (1 counts now that did not), 0 fixed since 2030-01-01 04:30 UTC"
    assert "PYSEC-901" in changes_markdown(audit)
    assert "PYSEC-902" not in changes_markdown(audit)


def test_without_a_comparison_the_reason_is_told_and_nothing_is_called_new() -> None:
    audit = fleet_audit(AuditChanges(since=None, new=(finding("PYSEC-1"),)), "this is the first audit")

    assert changes_text(audit) == "not compared: this is the first audit"
    assert "PYSEC-1" not in changes_markdown(audit)
